package stale

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"tributary/mptcp"
)

func TestReplaced(t *testing.T) {
	relay := netip.MustParseAddrPort("192.0.2.1:8443")
	subflow := func(id uint32, from string, timeouts uint8, silent time.Duration) mptcp.Subflow {
		return mptcp.Subflow{ID: id, State: mptcp.Established, Local: relay, Remote: netip.MustParseAddrPort(from), Timeouts: timeouts, LastAckRecv: silent}
	}
	old := subflow(1, "198.51.100.1:1000", 6, 30*time.Second)
	closed := old
	closed.State = mptcp.Close
	in := func(s mptcp.State, f mptcp.Subflow) mptcp.Subflow { f.State = s; return f }
	elsewhere := subflow(3, "198.51.100.1:2000", 0, 0)
	elsewhere.Local = netip.MustParseAddrPort("192.0.2.2:8443")
	for _, c := range []struct {
		name     string
		subflows []mptcp.Subflow
		want     []uint32
	}{
		{"its link is back", []mptcp.Subflow{old, subflow(3, "198.51.100.1:2000", 0, 0)}, []uint32{1}},
		{"and so is the other", []mptcp.Subflow{old, subflow(2, "203.0.113.1:1000", 5, 29*time.Second), subflow(3, "198.51.100.1:2000", 0, 0), subflow(4, "203.0.113.1:2000", 0, 0)}, []uint32{1, 2}},
		{"another link is back", []mptcp.Subflow{old, subflow(3, "203.0.113.1:2000", 0, 0)}, nil},
		{"another address of the relay", []mptcp.Subflow{old, elsewhere}, nil},
		{"two lines with one address", []mptcp.Subflow{subflow(1, "198.51.100.1:1000", 0, 20*time.Millisecond), subflow(3, "198.51.100.1:2000", 0, 0)}, nil},
		{"it rests", []mptcp.Subflow{subflow(1, "198.51.100.1:1000", 0, time.Minute), subflow(3, "198.51.100.1:2000", 0, 0)}, nil},
		{"it has lost a packet", []mptcp.Subflow{subflow(1, "198.51.100.1:1000", 1, 400*time.Millisecond), subflow(3, "198.51.100.1:2000", 0, 0)}, nil},
		{"the later one is silent", []mptcp.Subflow{subflow(1, "198.51.100.1:1000", 0, 0), subflow(3, "198.51.100.1:2000", 6, 30*time.Second)}, nil},
		{"all are", []mptcp.Subflow{old, subflow(3, "198.51.100.1:2000", 6, 30*time.Second)}, nil},
		{"it was shut down, another link is there", []mptcp.Subflow{in(mptcp.FinWait1, old), subflow(2, "203.0.113.1:2000", 0, 0)}, []uint32{1}},
		{"so it was by both", []mptcp.Subflow{in(mptcp.Closing, old), subflow(3, "203.0.113.1:2000", 0, 0)}, []uint32{1}},
		{"so it was after the other side", []mptcp.Subflow{in(mptcp.LastAck, old), subflow(3, "203.0.113.1:2000", 0, 0)}, []uint32{1}},
		{"it was shut down a moment ago", []mptcp.Subflow{in(mptcp.FinWait1, subflow(1, "198.51.100.1:1000", 0, 20*time.Millisecond)), subflow(3, "203.0.113.1:2000", 0, 0)}, nil},
		{"it was shut down, no other is heard", []mptcp.Subflow{in(mptcp.FinWait1, old), subflow(3, "203.0.113.1:2000", 5, 29*time.Second)}, nil},
		{"it has ended", []mptcp.Subflow{closed, subflow(3, "198.51.100.1:2000", 0, 0)}, nil},
	} {
		var got []uint32
		for _, s := range replaced(c.subflows) {
			got = append(got, s.ID)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}
