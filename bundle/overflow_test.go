package bundle

import (
	"strings"
	"testing"
	"time"

	"tributary/link"
)

func TestOverflowStaysShut(t *testing.T) {
	w := newWorld(t, dsl(), lte(link.Overflow))
	for _, demand := range []float64{20, 5, 26, 0} {
		w.demand = demand
		w.run(time.Minute)
		w.expect("room on dsl", "dsl full, lte backup")
	}
	if w.bytes["lte"] != 0 {
		t.Error(w.bytes, w.story())
	}
}

func TestOverflowOpensAndCloses(t *testing.T) {
	for _, thrift := range []Thrift{Free, Spare} {
		l := lte(link.Overflow)
		if thrift == Spare {
			l.mode, l.thrift = link.On, Spare
		}
		w := newWorld(t, dsl(), l)
		w.demand = 10
		w.run(10 * time.Second)
		w.demand = 100
		w.run(2 * time.Second)
		w.expect("more than dsl carries", "dsl full, lte full")
		if p := w.parts["lte"]; p.Reason != Needed || !strings.Contains(p.Why, "dsl carries 30 Mbit/s down with 40 ms of queue: full") {
			t.Errorf("%+v", p)
		}
		w.run(5 * time.Minute)
		w.expect("for as long as that is so", "dsl full, lte full")
		w.demand = 20
		w.run(4 * time.Second)
		w.expect("dsl can carry it again", "dsl full, lte backup")
		if p := w.parts["lte"]; !strings.Contains(p.Why, "20 Mbit/s down in all, and dsl can carry 30 Mbit/s") {
			t.Errorf("%+v", p)
		}
		w.run(5 * time.Minute)
		if len(w.log) != 3 {
			t.Error(w.story())
		}
	}
}

// A demand that comes and goes must not have the link do so for ever.
func TestOverflowFlaps(t *testing.T) {
	w := newWorld(t, dsl(), lte(link.Overflow))
	for range 40 {
		w.demand = 45
		w.run(4 * time.Second)
		w.demand = 20
		w.run(6 * time.Second)
	}
	if n := len(w.log); n > 30 {
		t.Error(n, w.story())
	}
	w.demand = 20
	w.run(time.Minute)
	w.expect("calm", "dsl full, lte backup")
}

// Without probes a constant rate looks like a full link, until the other one turns
// out to add nothing. That is tried less and less.
func TestOverflowWithoutProbes(t *testing.T) {
	d := dsl()
	d.deaf = true
	w := newWorld(t, d, lte(link.Overflow))
	w.demand = 20
	w.run(time.Hour)
	if n := len(w.log); n < 3 || n > 20 {
		t.Error(n, w.story())
	}
	w.demand = 45
	w.run(31 * time.Minute)
	w.expect("more than dsl carries", "dsl full, lte full")
}

// Of several links to be spared the first in order is used first.
func TestOverflowInOrder(t *testing.T) {
	sat := &line{name: "sat", mode: link.Overflow, rate: 10, rtt: 90 * ms, queue: 90 * ms}
	w := newWorld(t, dsl(), lte(link.Overflow), sat)
	w.demand = 45
	w.run(30 * time.Second)
	w.expect("dsl and lte are enough", "dsl full, lte full, sat backup")
	w.demand = 100
	w.run(5 * time.Second)
	w.expect("not any more", "dsl full, lte full, sat full")
	w.demand = 40
	w.run(10 * time.Second)
	w.expect("again", "dsl full, lte full, sat backup")
	w.demand = 10
	w.run(10 * time.Second)
	w.expect("dsl is enough", "dsl full, lte backup, sat backup")
	w.lines[0].dead = true
	w.event()
	w.expect("dsl is dead", "dsl out, lte full, sat backup")
	if p := w.parts["lte"]; p.Reason != Alone {
		t.Errorf("%+v", p)
	}
	w.demand = 25
	w.run(5 * time.Second)
	w.expect("lte is full", "dsl out, lte full, sat full")
	w.lines[0].dead = false
	w.event()
	w.run(10 * time.Second)
	w.expect("dsl is back", "dsl full, lte backup, sat backup")
}

// A way whose round trips became longer for good looks full at any rate near what it
// carried: that is found out.
func TestOverflowAnotherWay(t *testing.T) {
	d := dsl()
	w := newWorld(t, d, lte(link.Overflow))
	w.demand = 100
	w.run(20 * time.Second)
	w.demand = 20
	w.run(10 * time.Second)
	w.log = nil
	w.mind.links["dsl"].peak = [directions]peak{}
	d.rtt += 0
	d.queue = 0
	min := d.rtt
	for range 300 {
		w.now += time.Second
		b := w.observe(time.Second)
		b.Links[0].Probes.Min, b.Links[0].Probes.Low, b.Links[0].Probes.RTT = min, min+30*ms, min+30*ms
		parts, _ := w.mind.Decide(b)
		for name, p := range parts {
			if w.roles[name] != p.Role {
				w.log = append(w.log, name+" "+p.Role.String())
				w.roles[name] = p.Role
			}
		}
		w.flow()
	}
	if n := len(w.log); n > 10 {
		t.Error(n, w.story())
	}
	w.expect("it is not needed", "dsl full, lte backup")
}

// A queue of 3 ms is one if other probes wait longer, and the link carries the most it
// ever did.
func TestOverflowShortQueue(t *testing.T) {
	for _, c := range []struct {
		low, rtt time.Duration
		rate     float64
		opens    bool
	}{
		{43 * ms, 60 * ms, 30, true},
		{43 * ms, 45 * ms, 30, false},
		{41 * ms, 60 * ms, 30, false},
		{43 * ms, 60 * ms, 27, false},
	} {
		w := newWorld(t, dsl(), lte(link.Overflow))
		w.demand = 100
		w.run(5 * time.Second)
		w.demand = 10
		w.run(time.Minute)
		w.expect("dsl is enough", "dsl full, lte backup")
		w.demand = c.rate
		for range 5 {
			w.now += Soon
			w.flow()
			b := w.observe(Soon)
			p := &b.Links[0].Probes
			p.Low, p.RTT = c.low, c.rtt
			w.parts, _ = w.mind.Decide(b)
		}
		if got := w.parts["lte"].Role == link.Full; got != c.opens {
			t.Errorf("%+v: %v", c, got)
		}
	}
}
