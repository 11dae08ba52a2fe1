package bundle

import (
	"testing"
	"time"

	"tributary/health"
	"tributary/link"
)

// BBR lets links run dry for a moment, often all at once, and then what one of them has
// to catch up with holds up the rest. That is no harm that a link does, lossy, far or
// neither; while one with a queue that stands does some.
func TestPauseIsNoHarm(t *testing.T) {
	for _, c := range []struct {
		name     string
		rtt, low time.Duration // of the second link, the queue of which empties slowly
		reason   health.Reason
		heard    float64 // segments per second then, 1700 before
		out      bool
	}{
		{"alike", 60 * ms, 61 * ms, health.Answers, 0, false},
		{"lossy", 60 * ms, 61 * ms, health.Lossy, 0, false},
		{"far", 300 * ms, 301 * ms, health.Answers, 0, false},
		{"throttled", 60 * ms, 150 * ms, health.Answers, 90, true},
		{"one packet was lost", 60 * ms, 150 * ms, health.Answers, 1600, false},
	} {
		var m Mind
		var parts map[string]Part
		at := time.Duration(0)
		tell := func(dsl, other, good float64, held uint64, low time.Duration, heard float64) {
			at += Soon
			b := Bundle{At: at, Span: Soon, GoodputDown: good * 1e6 / 8, Held: held << 10}
			near := Observation{Link: "dsl", Up: true, Health: health.Alive, Probes: Probes{Min: 40 * ms, Low: 41 * ms, RTT: 55 * ms, Answered: 14}}
			near.Sub.Down = dsl * 1e6 / 8
			o := Observation{Link: "other", Order: 1, Up: true, Health: health.Alive, Reason: c.reason}
			if c.reason == health.Lossy {
				o.Health = health.Doubtful
			}
			o.Probes = Probes{Min: c.rtt, Low: low, RTT: max(low, c.rtt+c.rtt/2), Loss: 5, Answered: 14}
			o.Sub.Down, o.Sub.Heard = other*1e6/8, heard
			b.Links = append(b.Links, near, o)
			parts, _ = m.Decide(b)
		}
		for range 40 {
			tell(28, 19, 47, 100, c.rtt+60*ms, 1700)
		}
		for range 5 {
			tell(1, 2, 2, 600, c.low, c.heard)
		}
		if got := parts["other"].Role != link.Full; got != c.out || parts["dsl"].Role != link.Full {
			t.Errorf("%s: %+v", c.name, parts)
		}
	}
}
