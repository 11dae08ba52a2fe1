package bundle

import (
	"strings"
	"testing"
	"time"

	"tributary/link"
)

func near() *line { return &line{name: "dsl", rate: 20, rtt: 20 * ms, queue: 20 * ms} }

// A far link has no part in what is short, and all its part in what lasts.
func TestFarWaits(t *testing.T) {
	far := &line{name: "far", rate: 30, rtt: 600 * ms, queue: 100 * ms}
	w := newWorld(t, near(), far)
	w.expect("nothing is wanted", "dsl full, far backup")
	if p := w.parts["far"]; p.Reason != Far || p.Why != "its round trips take 600 ms, those of dsl 20" {
		t.Errorf("%+v", p)
	}
	for range 20 {
		w.demand = 100
		w.run(4 * time.Second)
		w.demand = 0
		w.run(3 * time.Second)
	}
	if w.bytes["far"] != 0 {
		t.Error(w.bytes, w.story())
	}
	w.demand = 100
	w.run(15 * time.Second)
	w.expect("more is wanted", "dsl full, far backup")
	w.demand = 1
	w.run(500 * ms) // as BBR does every 10 s
	w.demand = 100
	w.run(8 * time.Second)
	w.expect("and that lasts", "dsl full, far full")
	if p := w.parts["far"]; p.Reason != Needed || !strings.Contains(p.Why, "dsl carries 20 Mbit/s down") {
		t.Errorf("%+v", p)
	}
	w.run(5 * time.Minute)
	w.expect("for as long as that is so", "dsl full, far full")
	// However often that was so, it does not stay open for the next one.
	for range 3 {
		w.demand = 0
		w.run(4 * time.Second)
		w.expect("nothing is wanted any more", "dsl full, far backup")
		w.demand = 100
		w.run(23 * time.Second)
		w.expect("again", "dsl full, far full")
	}
	w.demand = 0
	w.run(4 * time.Second)
	far.rtt = 65 * ms
	w.run(2 * time.Second)
	w.expect("it is not far any more", "dsl full, far full")
}

// What a far link adds shows late, and is seen all the same.
func TestFarGrowsSlowly(t *testing.T) {
	far := &line{name: "far", rate: 0.8, rtt: 600 * ms, queue: 100 * ms}
	w := newWorld(t, near(), far)
	w.demand = 100
	w.run(27 * time.Second)
	w.expect("it grows", "dsl full, far full")
	far.rate = 2
	w.run(time.Minute)
	w.expect("it adds something", "dsl full, far full")

	far.rate = 0.8
	w = newWorld(t, near(), far)
	w.demand = 100
	w.run(33 * time.Second)
	w.expect("it adds nothing", "dsl full, far backup")
	if p := w.parts["far"]; p.Reason != Far || !strings.HasPrefix(p.Why, "it added nothing: 20 Mbit/s before") || !strings.HasSuffix(p.Why, "those of dsl 20") {
		t.Errorf("%+v", p)
	}
	w.run(5 * time.Minute)
	if n := len(w.log); n > 12 {
		t.Error(n, w.story())
	}
}

// A far link is used where it is the best there is, and before one that costs.
func TestFarBesideOthers(t *testing.T) {
	d, far, l := near(), &line{name: "far", rate: 30, rtt: 600 * ms, queue: 100 * ms}, lte(link.Overflow)
	w := newWorld(t, d, far, l)
	w.demand = 45
	l.mode = link.Off
	w.run(25 * time.Second)
	l.mode = link.Overflow
	w.run(25 * time.Second)
	w.expect("far is enough", "dsl full, far full, lte backup")
	w.demand = 100
	w.run(5 * time.Second)
	w.expect("not any more", "dsl full, far full, lte full")
	w.demand = 10
	w.run(20 * time.Second)
	w.expect("dsl is enough", "dsl full, far backup, lte backup")
	d.dead = true
	w.event()
	w.expect("dsl is dead", "dsl out, far full, lte backup")
	d.dead = false
	w.event()
	w.expect("dsl is back", "dsl full, far backup, lte backup")
	d.mode = link.Backup
	w.event()
	w.expect("dsl is a backup", "dsl backup, far full, lte backup")
}

// A far link that blocks the whole while it is used is set aside.
func TestFarHarms(t *testing.T) {
	far := &line{name: "far", rate: 30, rtt: 600 * ms, queue: 100 * ms}
	w := newWorld(t, near(), far)
	w.demand = 100
	w.run(30 * time.Second)
	w.harm = func(r map[string]link.Role) float64 {
		if r["far"] == link.Full {
			return 0.2
		}
		return 1
	}
	w.run(3 * time.Second)
	if p := w.parts["far"]; p.Role == link.Full || p.Reason != Harmful {
		t.Errorf("%+v\n%s", p, w.story())
	}
	w.all = 0
	from := w.now
	w.run(10 * time.Minute)
	if share := w.all / (20 * (w.now - from).Seconds()); share < 0.97 {
		t.Errorf("%.1f %% of what dsl alone carries\n%s", 100*share, w.story())
	}
	w.harm = nil
	w.run(31 * time.Minute)
	w.expect("it helps again", "dsl full, far full")
}

// While its windows grow a far link may hold up the rest: that is no harm yet.
func TestFarBegins(t *testing.T) {
	far := &line{name: "far", rate: 30, rtt: 600 * ms, queue: 100 * ms}
	w := newWorld(t, near(), far)
	w.demand = 100
	for w.roles["far"] != link.Full {
		w.run(Soon)
	}
	w.harm = func(r map[string]link.Role) float64 {
		if r["far"] == link.Full {
			return 0.1
		}
		return 1
	}
	w.run(1500 * ms)
	w.expect("it grows", "dsl full, far full")
	w.harm = nil
	w.run(10 * time.Second)
	w.expect("it has", "dsl full, far full")
}

// Beside a link that is aside, none is far.
func TestFarBesideAHarmfulOne(t *testing.T) {
	far := &line{name: "far", rate: 30, rtt: 600 * ms, queue: 100 * ms}
	w := newWorld(t, near(), far)
	w.mind.setAside(&Bundle{At: w.now}, &Observation{Link: "dsl"}, standby(Harmful, ""), down, harmSpan)
	w.event()
	w.expect("the other is harmful", "dsl backup, far full")
	if p := w.parts["far"]; p.Reason != Wanted {
		t.Errorf("%+v", p)
	}
}
