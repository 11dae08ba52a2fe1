package bundle

import (
	"testing"
	"time"

	"tributary/link"
)

// throttled is what the plain kernel does when a link in use is throttled: measured in
// the reference lab, LTE at 0.5 Mbit/s leaves 1 to 2 of 47 Mbit/s.
func throttled(roles map[string]link.Role) float64 {
	if roles["lte"] == link.Full {
		return 0.05
	}
	return 1
}

func TestFloorThrottled(t *testing.T) {
	for _, loss := range []float64{0.8, 0} {
		testFloorThrottled(t, loss)
	}
}

func testFloorThrottled(t *testing.T, loss float64) {
	l := lte(link.On)
	w := newWorld(t, dsl(), l)
	w.demand = 100
	w.run(20 * time.Second)
	w.expect("both are well", "dsl full, lte full")
	l.rate, l.loss, w.harm = 0.5, loss, throttled
	at := w.now
	w.event()
	w.run(1100 * ms)
	w.expect("at once", "dsl full, lte out")
	w.run(2 * time.Second)
	w.expect("then it stands by", "dsl full, lte backup")
	w.all = 0
	from := w.now
	w.run(10 * time.Minute)
	if share := w.all / (30 * (w.now - from).Seconds()); share < 0.97 {
		t.Errorf("%.1f %% of what dsl alone carries\n%s", 100*share, w.story())
	}
	// With probes fine it is tried, and that must not cost much.
	l.loss = 0
	w.all, from = 0, w.now
	w.run(10 * time.Minute)
	if share := w.all / (30 * (w.now - from).Seconds()); share < 0.97 {
		t.Errorf("%.1f %% of what dsl alone carries\n%s", 100*share, w.story())
	}
	l.rate, w.harm = 20, nil
	w.run(31 * time.Minute)
	w.expect("the month is over", "dsl full, lte full")
	t.Log(w.now-at, w.story())
}

// A link that is out for a moment is better than none.
func TestFloorIsOutAndAlone(t *testing.T) {
	d, l := dsl(), lte(link.On)
	w := newWorld(t, d, l)
	w.demand = 100
	w.run(20 * time.Second)
	l.rate, l.loss, w.harm = 0.5, 0.8, throttled
	w.event()
	w.run(1100 * ms)
	w.expect("at once", "dsl full, lte out")
	d.dead = true
	w.event()
	w.expect("the other dies in that moment", "dsl out, lte full")
}

func TestFloorLeavesWhatHelps(t *testing.T) {
	for _, l := range []*line{
		{name: "lte", rate: 20, rtt: 300 * ms, queue: 100 * ms},
		{name: "lte", rate: 40, rtt: 40 * ms, queue: 40 * ms, loss: 0.05, lossy: true},
		{name: "lte", rate: 5, rtt: 60 * ms, queue: 2 * time.Second},
		{name: "lte", rate: 1, rtt: 60 * ms, queue: 60 * ms},
	} {
		w := newWorld(t, dsl(), l)
		for _, demand := range []float64{0, 100, 3, 100, 0, 20, 100} {
			w.demand = demand
			w.run(20 * time.Second)
		}
		w.expect("it adds to the sum", "dsl full, lte full")
	}
}

func TestFloorTiny(t *testing.T) {
	a := &line{name: "a", rate: 100, rtt: 20 * ms, queue: 20 * ms}
	b := &line{name: "b", rate: 1, rtt: 60 * ms, queue: 60 * ms}
	w := newWorld(t, a, b)
	w.demand = 50
	w.run(time.Minute)
	w.demand = 200
	w.run(10 * time.Second)
	w.expect("it is of no use", "a full, b backup")
	w.run(time.Hour)
	if n := len(w.log); n > 20 {
		t.Error(n, w.story())
	}
	a.dead = true
	w.event()
	w.expect("it is all there is", "a out, b full")
	a.dead = false
	w.event()
	w.run(5 * time.Second)
	w.expect("as before", "a full, b backup")
}

// Less than usual came through because nobody wanted more: the link that is always
// lossy is not to blame, and that it is suspected costs little.
func TestFloorDemandFalls(t *testing.T) {
	l := &line{name: "lte", rate: 40, rtt: 40 * ms, queue: 40 * ms, loss: 0.05, lossy: true}
	w := newWorld(t, dsl(), l)
	for range 50 {
		w.demand = 100
		w.run(7 * time.Second)
		w.demand = 2
		w.run(5 * time.Second)
	}
	w.demand = 100
	w.run(20 * time.Second)
	w.expect("it helps", "dsl full, lte full")
	if n := len(w.log); n > 6 {
		t.Error(n, w.story())
	}
}

// A far link that costs more than it adds is found out without any loss.
func TestFloorFar(t *testing.T) {
	l := &line{name: "sat", rate: 20, rtt: 600 * ms, queue: 100 * ms}
	w := newWorld(t, dsl(), l)
	w.demand = 100
	w.harm = func(r map[string]link.Role) float64 {
		if r["sat"] == link.Full {
			return 0.4
		}
		return 1
	}
	w.mind.links["dsl"].peak[down].see(30e6/8, 0)
	w.run(10 * time.Second)
	w.expect("slower than dsl alone", "dsl full, sat backup")
}

// What a link did not carry while it was dead does not make it tiny.
func TestBackDuringADownload(t *testing.T) {
	d, l := dsl(), lte(link.On)
	w := newWorld(t, d, l)
	w.demand = 100
	w.run(10 * time.Second)
	d.dead = true
	w.event()
	w.run(8 * time.Second)
	d.dead, d.late = false, 60*ms
	for range 4 {
		w.event()
		w.expect("back", "dsl full, lte full")
		w.run(250 * ms)
	}
	d.late = 0
	w.run(5 * time.Second)
	w.expect("still", "dsl full, lte full")
}

// An upload after a download: that nothing comes down is nobody's fault.
func TestUploadIsNoSlowDownload(t *testing.T) {
	w := newWorld(t, dsl(), lte(link.On))
	w.demand = 100
	w.run(10 * time.Second)
	w.demand = 0
	w.run(5 * time.Second)
	for range 40 {
		w.now += 250 * ms
		b := w.observe(250 * ms)
		b.Backlog, b.GoodputUp = 1<<20, 20e6/8
		for i := range b.Links {
			b.Links[i].Sub.Up = 10e6 / 8
			b.Links[i].Probes.RTT += 54 * ms
			b.Links[i].Probes.Low += 54 * ms
		}
		parts, _ := w.mind.Decide(b)
		for name, p := range parts {
			if p.Role != link.Full {
				t.Fatalf("%s, at %v: %+v", name, w.now, p)
			}
		}
	}
}

func TestDeadAndBack(t *testing.T) {
	d, l := dsl(), lte(link.On)
	w := newWorld(t, d, l)
	w.demand = 40
	w.run(10 * time.Second)
	l.dead = true
	w.event()
	w.expect("dead", "dsl full, lte out")
	if p := w.parts["lte"]; p.Reason != Dead || p.Why != "nothing for 150 ms" {
		t.Errorf("%+v", p)
	}
	l.dead = false
	w.event()
	w.expect("back", "dsl full, lte full")
	d.gone, l.mode = true, link.Backup
	w.event()
	w.expect("only a backup is left", "dsl out, lte full")
	d.gone = false
	w.event()
	w.expect("not any more", "dsl full, lte backup")
	l.mode = link.Off
	w.event()
	w.expect("off", "dsl full, lte out")
}
