package gateway

import (
	"net/netip"
	"testing"
	"time"

	"tributary/link"
	"tributary/mptcp"
)

// A connection that was not told of the relay's other address lacks the links that join
// there, if that run of the relay tells it to others; and one that only a new connection
// can join is missed also while it is tried.
func TestWantsWhatIsAnnounced(t *testing.T) {
	dsl, lte := netip.MustParseAddr("10.0.1.2"), netip.MustParseAddr("2001:db8:3::2")
	to := netip.MustParseAddrPort("192.0.2.1:8443")
	u := &upstream{sources: func(v6 bool) []source {
		if v6 {
			return []source{{link: "lte", addr: lte}}
		}
		return []source{{link: "dsl", addr: dsl}}
	}}
	told := mptcp.Full{Connection: mptcp.Connection{Announced: 1}}
	for _, step := range []struct {
		what  string
		run   uint64
		full  mptcp.Full
		tried netip.Addr
		want  int
	}{
		{"nothing was ever announced", 7, mptcp.Full{}, netip.Addr{}, 1},
		{"by a relay without a run", 0, told, netip.Addr{}, 2},
		{"which tells nothing of others", 0, mptcp.Full{}, netip.Addr{}, 1},
		{"announced", 7, told, netip.Addr{}, 2},
		{"to others of that run", 7, mptcp.Full{}, netip.Addr{}, 2},
		{"to those of another run", 8, mptcp.Full{}, netip.Addr{}, 1},
		{"the link that joins there is tried", 7, told, lte, 2},
		{"the same, not told", 7, mptcp.Full{}, lte, 2},
		{"a link that rejoins is tried", 7, told, dsl, 1},
	} {
		trial := func(a netip.Addr) bool { return a == step.tried }
		if got := u.wants(&relayConn{instance: step.run}, to, step.full, trial); got != step.want {
			t.Errorf("%s: %d links, want %d", step.what, got, step.want)
		}
	}
}

func TestArrivals(t *testing.T) {
	dsl, lte := netip.MustParseAddr("10.0.1.2"), netip.MustParseAddr("2001:db8:3::2")
	var a arrivals
	for i, step := range []struct {
		joins []netip.Addr
		take  bool
		want  bool
	}{
		{[]netip.Addr{dsl, lte}, true, true},
		{[]netip.Addr{dsl, lte}, true, false},
		{[]netip.Addr{dsl}, true, false},
		{[]netip.Addr{dsl, lte}, false, false}, // it is back
		{[]netip.Addr{dsl}, false, false},      // and has gone again
		{[]netip.Addr{dsl, lte}, true, true},
		{[]netip.Addr{lte}, true, false},
	} {
		a.note([]link.Link{{Joins: step.joins}})
		if step.take {
			if got := a.take(); got != step.want {
				t.Errorf("step %d: %t, want %t", i, got, step.want)
			}
		}
	}
}

// However often a link has been tried before, a connection tries it when it comes back.
func TestScoutAtAReturn(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		back := false
		whole := map[*relayConn]bool{}
		w.pool.subflows = func(c *relayConn) (have, want int) {
			if _, known := whole[c]; !known {
				whole[c] = back
			}
			if whole[c] {
				return 2, 2
			}
			return 1, 2
		}
		w.run()
		time.Sleep(time.Hour)
		w.pool.mu.Lock()
		back = true
		w.pool.mu.Unlock()
		w.pool.scout()
		w.pool.check(w.pool.subflows)
		time.Sleep(2 * coldTime)
		w.pool.mu.Lock()
		defer w.pool.mu.Unlock()
		best := w.pool.best()
		w.pool.idle = append(w.pool.idle, best)
		if best.lacking {
			t.Error("a request gets one without the link that is back")
		}
	})
}

// A change of a link, whatever it is, makes no connection whole that lacks one, nor one
// that another has replaced.
func TestChangeMakesNothingWhole(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.fill(t)
		w.pool.mu.Lock()
		w.pool.renewals, w.pool.scouts = pace{next: time.Now().Add(time.Hour)}, pace{next: time.Now().Add(time.Hour)}
		last := w.pool.idle[len(w.pool.idle)-1].relayConn
		w.pool.mu.Unlock()
		lacks := func(c *relayConn) (have, want int) {
			if c == last {
				return 2, 2
			}
			return 1, 2
		}
		w.pool.check(lacks)
		w.pool.glance(lacks)
		w.pool.mu.Lock()
		defer w.pool.mu.Unlock()
		best := w.pool.best()
		if w.pool.idle = append(w.pool.idle, best); best.relayConn != last {
			t.Error("a request gets one that lacks a link")
		}
		for _, c := range w.pool.idle {
			c.lacking, c.renew = false, c.relayConn != last
		}
		best = w.pool.best()
		if w.pool.idle = append(w.pool.idle, best); best.relayConn != last {
			t.Error("a request gets one that is to be replaced")
		}
	})
}
