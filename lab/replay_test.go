//go:build linux

package lab

import (
	"context"
	"net/netip"
	"testing"

	"tributary/lab/packet"
)

// An opening is the first data behind a SYN that joins nothing, once.
func TestFirstFlights(t *testing.T) {
	at := func(port uint16) netip.AddrPort { return netip.AddrPortFrom(netip.MustParseAddr("11.1.0.2"), port) }
	join := []packet.Option{{Subtype: packet.Join}}
	tcp := func(port uint16, flags packet.Flags, seq uint32, payload string, o ...packet.Option) Event {
		return Event{TCP: packet.TCP{From: at(port), Flags: flags, Seq: seq, Payload: []byte(payload), Options: o}}
	}
	got := firstFlights([]Event{
		tcp(1, packet.SYN, 7, ""), tcp(1, packet.SYN, 7, ""), tcp(1, packet.ACK, 8, "one"), tcp(1, packet.ACK, 8, "one"), tcp(1, packet.ACK, 11, "more"),
		tcp(2, packet.SYN, 1, "", join...), tcp(2, packet.ACK, 2, "joined"),
		tcp(3, packet.SYN, 1, ""), tcp(3, packet.ACK, 5, "later"), tcp(3, packet.ACK, 2, "three"),
		tcp(1, packet.SYN, 90, "", join...), tcp(1, packet.ACK, 91, "joined"),
		tcp(3, packet.SYN, 40, ""), tcp(3, packet.ACK, 41, "anew"),
	})
	var texts []string
	for _, f := range got {
		texts = append(texts, string(f.bytes))
	}
	if len(texts) != 3 || texts[0] != "one" || texts[1] != "three" || texts[2] != "anew" {
		t.Errorf("%q", texts)
	}
}

// A replay that opens something, or of too few openings, is a miss; a control that
// opens nothing breaks the run.
func TestReplayIsJudged(t *testing.T) {
	r := &Report{}
	(&Replay{Openings: 9, Runs: []ReplayRun{{When: "at once", Sent: 9, Opened: 1}, {When: "control", Control: true}}}).judge(r, 10)
	if len(r.Figures) != 2 || *r.Figures[0].Met || *r.Figures[1].Met || allOK(r.Checks) {
		t.Errorf("%+v", r)
	}
}

// A short run of the scenario "replay".
func TestReplay(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute")
	}
	t.Parallel() // it mostly waits for the port
	s, _ := ByName("replay")
	s.run = func(ctx context.Context, t *trial) error { return replayWith(ctx, t, 300) }
	r := runScenario(t, s)
	if r.Replay == nil || len(r.Replay.Runs) != 5 {
		t.Fatalf("%+v", r.Replay)
	}
	for _, f := range r.Figures {
		if f.Met != nil && !*f.Met {
			t.Errorf("%s: %v", f.Name, f.Value)
		}
	}
}
