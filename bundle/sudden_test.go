package bundle

import (
	"testing"
	"time"

	"tributary/health"
	"tributary/link"
)

// One look is enough to see that a link has stopped and holds up the rest, and what
// only looks like it blames nobody.
func TestSudden(t *testing.T) {
	type look struct {
		dsl, lte, good float64       // in Mbit/s
		held           uint64        // in kB
		low            time.Duration // over LTE
	}
	usual := look{28, 19, 47, 100, 124 * ms}
	for _, c := range []struct {
		name  string
		rtt   time.Duration
		looks []look
		out   bool
	}{
		{"throttled", 60 * ms, []look{{27, 3, 6, 900, 135 * ms}}, true},
		{"throttled in the middle of a look", 60 * ms, []look{{28, 12, 25, 500, 130 * ms}, {27, 0.7, 1, 1300, 135 * ms}}, true},
		{"throttled, and the relay may send no more", 60 * ms, []look{{28, 12, 25, 430, 123 * ms}, {10, 0.1, 0.1, 550, 123 * ms}}, true},
		{"BBR looks for the least round trip", 60 * ms, []look{{28, 2, 28, 60, 61 * ms}}, false},
		{"a packet is lost", 60 * ms, []look{{28, 17, 4, 1200, 130 * ms}}, false},
		{"less is wanted", 60 * ms, []look{{9, 3, 10, 10, 61 * ms}}, false},
		{"it waits for the other", 60 * ms, []look{{1, 2, 3, 600, 90 * ms}}, false},
		{"a far one comes in bursts", 130 * ms, []look{{27, 3, 6, 900, 180 * ms}}, false},
	} {
		var m Mind
		var parts map[string]Part
		at := time.Duration(0)
		tell := func(l look) {
			at += Soon
			b := Bundle{At: at, Span: Soon, GoodputDown: l.good * 1e6 / 8, Held: l.held << 10}
			for i, name := range []string{"dsl", "lte"} {
				o := Observation{Link: name, Order: i, Up: true, Health: health.Alive}
				o.Probes = Probes{Min: 40 * ms, Low: 85 * ms, RTT: 90 * ms, Answered: 14}
				o.Sub.Down = l.dsl * 1e6 / 8
				if name == "lte" {
					o.Probes = Probes{Min: c.rtt, Low: l.low, RTT: l.low + 10*ms, Answered: 14}
					o.Sub.Down = l.lte * 1e6 / 8
				}
				b.Links = append(b.Links, o)
			}
			parts, _ = m.Decide(b)
		}
		for range 20 {
			tell(usual)
		}
		for _, l := range c.looks {
			tell(l)
		}
		if got := parts["lte"].Role == link.Out; got != c.out || parts["dsl"].Role != link.Full {
			t.Errorf("%s: %+v", c.name, parts)
		}
	}
}

// A link that has only paused is back soon.
func TestSuddenPause(t *testing.T) {
	l := lte(link.On)
	w := newWorld(t, dsl(), l)
	w.demand = 100
	w.run(20 * time.Second)
	w.mind.setAside(&Bundle{At: w.now}, &Observation{Link: "lte"}, out(Harmful, "it stopped"), down, suddenSpan)
	w.mind.links["lte"].conduct.before[down] = 1e6
	w.run(2 * time.Second)
	w.expect("aside", "dsl full, lte backup")
	w.run(15 * time.Second)
	w.expect("back", "dsl full, lte full")
}

// A tiny link is known for one within a second of its looks, and not again with each
// transfer.
func TestTinySoon(t *testing.T) {
	a := &line{name: "a", rate: 100, rtt: 20 * ms, queue: 20 * ms}
	b := &line{name: "b", rate: 1, rtt: 60 * ms, queue: 60 * ms}
	w := newWorld(t, a, b)
	w.run(5 * time.Second)
	w.demand = 200
	w.run(2 * time.Second) // the first look comes after one
	w.expect("it is of no use", "a full, b out")
	w.run(time.Second)
	w.expect("what was on its way is sent again", "a full, b backup")
	for range 10 {
		w.demand = 0
		w.run(5 * time.Second)
		w.demand = 200
		w.run(5 * time.Second)
		w.expect("it is still of no use", "a full, b backup")
	}
	if n := len(w.log); n != 2 {
		t.Error(n, w.story())
	}
}

// While links carry all they can the next look comes soon.
func TestLooksQuickly(t *testing.T) {
	w := newWorld(t, dsl(), lte(link.On))
	w.demand = 20
	w.run(3 * time.Second)
	if w.wait != usually {
		t.Error(w.wait)
	}
	w.demand = 100
	w.run(3 * time.Second)
	if w.wait != quickly {
		t.Error(w.wait)
	}
	w.lines[1].dead = true
	w.run(3 * time.Second)
	if w.wait != usually {
		t.Error(w.wait)
	}
}

// While segments come as ever a link has not stopped: one was lost.
func TestSuddenLoss(t *testing.T) {
	for _, c := range []struct {
		heard float64 // segments per second, while no byte counts
		out   bool
	}{{800, false}, {0, true}, {40, true}} {
		var m Mind
		at, outs := time.Duration(0), 0
		tell := func(lte, good, heard float64) {
			at += quickly
			probes := Probes{Min: 60 * ms, Low: 130 * ms, RTT: 140 * ms, Answered: 14}
			parts, _ := m.Decide(Bundle{At: at, Span: quickly, GoodputUp: good * 1e6 / 8, Backlog: 300 << 10, Links: []Observation{
				{Link: "dsl", Up: true, Health: health.Alive, Probes: probes, Sub: Subflows{Up: 9.5e6 / 8, Heard: 800}},
				{Link: "lte", Order: 1, Up: true, Health: health.Alive, Probes: probes, Sub: Subflows{Up: lte * 1e6 / 8, Heard: heard}},
			}})
			if parts["lte"].Role == link.Out {
				outs++
			}
		}
		for range 50 {
			tell(9.4, 19, 800)
		}
		tell(3.7, 7, c.heard)
		tell(0, 0, c.heard)
		tell(0, 0, c.heard)
		if (outs > 0) != c.out {
			t.Errorf("%v: %d", c, outs)
		}
	}
}
