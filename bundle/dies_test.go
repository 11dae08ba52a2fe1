package bundle

import (
	"testing"
	"time"

	"tributary/health"
	"tributary/link"
)

// What a link does just before it is found dead is its dying: it is not aside for that
// when it is back. What was seen to be harm before stays so.
func TestHarmBeforeDeath(t *testing.T) {
	for _, c := range []struct {
		after time.Duration // from the blame to the death
		back  link.Role
	}{{100 * ms, link.Full}, {2 * time.Second, link.Full}, {checkAfter + time.Second, link.Standby}} {
		var m Mind
		at := time.Duration(0)
		tell := func(lte, good float64, h health.State) Part {
			at += quickly
			sound := Probes{Min: 40 * ms, Low: 60 * ms, RTT: 60 * ms, Answered: 14}
			ill := Probes{Min: 60 * ms, Low: 130 * ms, RTT: 140 * ms, Answered: 8, Missed: 6}
			parts, _ := m.Decide(Bundle{At: at, Span: quickly, GoodputDown: good * 1e6 / 8, Held: 4 << 20, Links: []Observation{
				{Link: "dsl", Up: true, Health: health.Alive, Probes: sound, Sub: Subflows{Down: 28e6 / 8, Heard: 2500}},
				{Link: "lte", Order: 1, Up: true, Health: h, Probes: ill, Sub: Subflows{Down: lte * 1e6 / 8}},
			}})
			return parts["lte"]
		}
		for range 50 {
			tell(18, 46, health.Alive)
		}
		var p Part
		for i := 0; i < 20 && p.Reason != Harmful; i++ {
			p = tell(1, 2, health.Alive)
		}
		if p.Reason != Harmful {
			t.Fatalf("%+v: not blamed: %+v", c, p)
		}
		for blamed := at; at-blamed < c.after; {
			tell(0, 28, health.Alive)
		}
		for range 20 {
			tell(0, 28, health.Dead)
		}
		if p := tell(0, 28, health.Alive); p.Role != c.back {
			t.Errorf("%+v: back as %+v", c, p)
		}
	}
}
