package bundle

import (
	"testing"
	"time"
)

// A link that comes beside a known one joins no connection until it is known whether it
// is far, and a far one never joins as one that carries traffic.
func TestUnheardWaits(t *testing.T) {
	far := &line{name: "far", rate: 30, rtt: 600 * ms, queue: 100 * ms, deaf: true}
	w := newWorld(t, near(), far)
	w.expect("nothing is known of it", "dsl full, far out")
	if p := w.parts["far"]; p.Reason != Unheard {
		t.Errorf("%+v", p)
	}
	w.run(600 * ms)
	far.deaf = false
	w.event()
	w.expect("it answers", "dsl full, far backup")

	far.gone = true
	w.run(time.Minute)
	far.gone, far.deaf, far.rtt = false, true, 60*ms
	w.event()
	w.expect("it comes again", "dsl full, far out")
	far.deaf = false
	w.event()
	w.expect("and is not far", "dsl full, far full")
}

// Where probes are not answered the link is used all the same.
func TestUnheardIsUsed(t *testing.T) {
	l := &line{name: "lte", rate: 20, rtt: 60 * ms, deaf: true}
	w := newWorld(t, near(), l)
	w.run(unheardFor - time.Millisecond)
	w.expect("it may answer", "dsl full, lte out")
	w.run(Soon)
	w.expect("it does not", "dsl full, lte full")
	w.run(time.Minute)
	w.expect("nor later", "dsl full, lte full")

	d := near()
	d.deaf, l.deaf = true, true
	w = newWorld(t, d, l)
	w.expect("none is known", "dsl full, lte full")
	l.deaf = false
	w.event()
	w.expect("the second is, connections begin over the first", "dsl full, lte full")

	l.deaf = true
	w = newWorld(t, d, l)
	d.deaf = false
	w.event()
	w.expect("the first is", "dsl full, lte out")
	d.dead = true
	w.event()
	w.expect("and is dead", "dsl out, lte full")
}

func TestLeads(t *testing.T) {
	on := func(name string, order int) Observation { return Observation{Link: name, Order: order, Up: true} }
	down := on("a", 0)
	down.Up = false
	for _, c := range []struct {
		links []Observation
		want  string
	}{
		{[]Observation{on("a", 0), on("b", 0)}, "a"},
		{[]Observation{on("a", 2), on("b", 1), on("c", 1)}, "b"},
		{[]Observation{down, on("b", 1), on("c", 2)}, "b"},
	} {
		for i := range c.links {
			b := &Bundle{Links: c.links}
			if l := &b.Links[i]; l.Up && leads(b, l) != (l.Link == c.want) {
				t.Errorf("%v: %s leads: %v", c.links, l.Link, !(l.Link == c.want))
			}
		}
	}
}
