package bundle

import (
	"strings"
	"testing"
	"time"

	"tributary/link"
)

// changesTo counts how often a link has come to a role.
func (w *world) changesTo(name string, r link.Role) (n int) {
	for _, l := range w.log {
		if strings.Contains(l, " "+name+" "+r.String()+":") {
			n++
		}
	}
	return n
}

// share is what programs got since a moment, of what the first line alone carries.
func (w *world) share(from time.Duration) float64 {
	return w.all / (w.lines[0].rate * (w.now - from).Seconds())
}

// A link that dies again and again, and that health holds down for longer each time: it
// goes and comes back with its health, at once, and it has no blame for that.
func TestFlapping(t *testing.T) {
	l := lte(link.On)
	w := newWorld(t, dsl(), l)
	w.demand = 100
	w.run(20 * time.Second)
	w.all = 0
	from, flips := w.now, 0
	for hold := time.Second; w.now-from < 10*time.Minute; hold = min(2*hold, time.Minute) {
		l.dead = true
		w.event()
		w.expect("dead", "dsl full, lte out")
		w.run(max(hold, 2*time.Second))
		l.dead = false
		w.event()
		w.expect("back", "dsl full, lte full")
		w.run(3 * time.Second)
		flips++
	}
	if n := w.changesTo("lte", link.Out); n != flips || flips > 20 || w.changesTo("dsl", link.Full) > 0 {
		t.Errorf("lte was out %d times of %d\n%s", n, flips, w.story())
	}
	if s := w.share(from); s < 1 || strings.Contains(strings.Join(w.log, "\n"), string(Harmful)) {
		t.Errorf("%.2f of what dsl carries\n%s", s, w.story())
	}
}

// A link dies in four minutes: it loses more and more, takes longer and carries less. It
// is given up when the bundle suffers, long before it is dead, and is not tried
// again and again.
func TestSlowDeath(t *testing.T) {
	l := lte(link.On)
	w := newWorld(t, dsl(), l)
	w.demand = 100
	w.run(20 * time.Second)
	w.harm = func(roles map[string]link.Role) float64 { // what waits for lost packets
		if roles["lte"] == link.Full {
			return max(0.1, 1-4*l.loss)
		}
		return 1
	}
	w.all = 0
	from, aside := w.now, time.Duration(0)
	for i := range 24 {
		l.loss, l.late, l.rate = 0.015*float64(i), time.Duration(i)*30*ms, max(0.5, 20*(1-float64(i)/20))
		l.lossy = l.loss >= 0.05
		w.run(10 * time.Second)
		if aside == 0 && w.roles["lte"] != link.Full {
			aside = w.now - from
		}
	}
	if aside < 40*time.Second || aside > 2*time.Minute || w.changesTo("lte", link.Full) > 0 {
		t.Errorf("aside after %v\n%s", aside, w.story())
	}
	l.dead = true
	w.event()
	w.expect("dead", "dsl full, lte out")
	w.run(time.Minute)
	if s := w.share(from); s < 0.97 {
		t.Errorf("%.2f of what dsl alone carries\n%s", s, w.story())
	}
}

// A queue of two seconds: a link that adds something all the same is left in peace, and
// one that blocks the others is aside in seconds, and stays so for most of the time.
func TestBloat(t *testing.T) {
	for _, tt := range []struct {
		harm float64
		want string
	}{{0.95, "dsl full, lte full"}, {0.6, "dsl full, lte backup"}} {
		l := &line{name: "lte", rate: 5, rtt: 60 * ms, queue: 60 * ms}
		w := newWorld(t, dsl(), l)
		w.demand = 100
		w.run(20 * time.Second)
		l.queue, l.late = 2*time.Second, 100*ms
		w.harm = func(roles map[string]link.Role) float64 {
			if roles["lte"] == link.Full {
				return tt.harm
			}
			return 1
		}
		w.run(6 * time.Second)
		w.expect("after some seconds", tt.want)
		w.all = 0
		from := w.now
		w.run(20 * time.Minute)
		if s := w.share(from); s < 0.97 || w.changesTo("lte", link.Full) > 4 {
			t.Errorf("%.2f of what dsl alone carries\n%s", s, w.story())
		}
	}
}
