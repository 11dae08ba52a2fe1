package gateway

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"tributary/link"
	"tributary/proxy"
	"tributary/upkeep"
)

// What the lab has measured on Linux 6.18, in bytes of IP packets both ways.
const (
	bytesFirst = 4500 // to make a connection, on the link of its first subflow
	bytesJoin  = 290  // on each further link
	bytesProbe = 128
	relayProbe = 15 * time.Minute
)

var (
	dslAddr = netip.MustParseAddr("192.0.2.10")
	lteAddr = netip.MustParseAddr("198.51.100.10")
)

// metered gives a world two links, of which the second is metered, and
// connections that cost what real ones do.
func (w *world) metered() {
	w.pool.ledger.links = func() []link.Link {
		return []link.Link{
			{Name: "dsl", Addrs: []netip.Addr{dslAddr}},
			{Name: "lte", Addrs: []netip.Addr{lteAddr}, Metered: true},
		}
	}
	w.pool.ledger.cost = func(c *relayConn) map[netip.Addr]uint64 {
		age := time.Since(c.born)
		probes := uint64(age/w.pool.probe() + age/relayProbe)
		// The worst case: the first subflow is always over the metered link.
		return map[netip.Addr]uint64{dslAddr: bytesJoin + probes*bytesProbe, lteAddr: bytesFirst + probes*bytesProbe}
	}
}

func (w *world) spent(link string) uint64 { return w.pool.ledger.books.Spent(link, time.Now()) }

func (w *world) level() upkeep.Thrift {
	w.pool.mu.Lock()
	defer w.pool.mu.Unlock()
	return w.pool.ledger.level
}

func (w *world) probe() time.Duration {
	w.pool.mu.Lock()
	defer w.pool.mu.Unlock()
	return w.pool.probe()
}

// used is a request that takes a connection, and has done with it a second later.
func (w *world) used() (warm bool) {
	c := w.pool.take()
	if c != nil {
		time.AfterFunc(time.Second, func() { c.Close() })
	}
	return c != nil
}

func (w *world) burst(n int) (misses int) {
	for range n {
		if !w.used() {
			misses++
		}
		time.Sleep(2 * time.Second / time.Duration(n))
	}
	return misses
}

// A day at rest costs at most 1.5 MB on every link, and leaves a pool that is full.
func TestADayAtRest(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.metered()
		w.fill(t)
		for range 24 {
			time.Sleep(time.Hour)
			w.wantWarm(t, poolFloor)
		}
		for _, link := range []string{"dsl", "lte"} {
			n := w.spent(link)
			t.Logf("%s: %.2f MB, %d connections made", link, float64(n)/1e6, w.dialled())
			if n < 500_000 || n > 1_500_000 {
				t.Errorf("%d bytes on %s", n, link)
			}
		}
		if w.level() != upkeep.Plenty {
			t.Errorf("the pool is %s after a day at rest", w.level())
		}
		if n := w.burst(20); n != 0 {
			t.Errorf("%d of 20 missed after the rest", n)
		}
	})
}

// A burst each hour stays within the budget of the metered link, in any 24 hours.
func TestADayWithBursts(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.metered()
		w.fill(t)
		levels := map[upkeep.Thrift]bool{}
		for hour := range 28 {
			n := w.burst(50)
			if hour == 0 && n > 5 {
				t.Errorf("%d of the first 50 missed", n)
			}
			levels[w.level()] = true
			time.Sleep(time.Hour - 2*time.Second)
			if n := w.spent("lte"); n > upkeep.Budget+50_000 {
				t.Fatalf("%d bytes after %d hours", n, hour)
			}
		}
		t.Logf("%.2f MB in the last 24 hours, at levels %v", float64(w.spent("lte"))/1e6, levels)
		if !levels[upkeep.Plenty] || !levels[upkeep.Saving] {
			t.Error("the pool did not become sparing")
		}
		if n := strings.Count(w.log.String(), "upkeep of warm connections"); n == 0 || n > 100 {
			t.Errorf("%d lines about it", n)
		}
	})
}

// With nothing left of the budget there are no warm connections and no bytes until
// there is something again; requests are served all the same.
func TestNothingLeft(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.metered()
		w.fill(t)
		began := time.Now()
		w.pool.ledger.books.Spend("lte", upkeep.Budget*9/10, began)
		time.Sleep(time.Minute)
		w.wantWarm(t, poolScant)
		w.pool.ledger.books.Spend("lte", upkeep.Budget/10, began)
		time.Sleep(time.Minute)
		w.wantWarm(t, 0)
		before, dials := w.spent("lte"), w.dialled()
		for range 10 {
			time.Sleep(time.Hour)
			c, err := w.dialer.get(w.ctx, otherServer, 1, time.Now().Add(openTime), proxy.Flow{})
			if err != nil {
				t.Fatal(err)
			}
			c.Close()
		}
		if n := w.dialled() - dials; n != 10 {
			t.Errorf("%d connections for 10 requests", n)
		}
		if n := w.spent("lte"); n != before {
			t.Errorf("%d bytes for upkeep", n-before)
		}
		if r, p := w.pool.status(); r.State != "up" || p.Upkeep != "spent" {
			t.Errorf("status %+v %+v", r, p)
		}
		if n, note := w.pool.upkeepOf(w.pool.ledger.links()[1]); n < upkeep.Budget || !strings.Contains(note, "none are kept") {
			t.Errorf("%d, %q", n, note)
		}
		if !strings.Contains(w.log.String(), "upkeep=spent") {
			t.Error("nobody was told")
		}
		time.Sleep(25*time.Hour - time.Since(began) + time.Minute)
		w.wantWarm(t, poolFloor)
	})
}

// A start with nothing left makes one connection, which shows that the relay is
// there.
func TestStartWithNothingLeft(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.metered()
		w.pool.ledger.books.Spend("lte", upkeep.Budget, time.Now())
		w.run()
		time.Sleep(5 * time.Minute)
		if r, _ := w.pool.status(); r.State != "up" || w.dialled() != 1 {
			t.Errorf("%s after %d connections", r.State, w.dialled())
		}
		w.wantWarm(t, 0)
	})
}

// A link that is not in use does not make the pool sparing.
func TestBudgetOfALinkThatIsDown(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.metered()
		w.pool.ledger.books.Spend("lte", upkeep.Budget, time.Now())
		links := w.pool.ledger.links()
		links[1].State = link.Down
		w.pool.ledger.links = func() []link.Link { return links }
		w.fill(t)
	})
}

// A link that comes and goes all day, and each time joins nothing at first, has the
// pool renewed seldom.
func TestADayOfFlapping(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.metered()
		w.fill(t)
		before := w.dialled()
		for range 24 * 60 * 2 {
			w.pool.check(func(*relayConn) (have, want int) { return 1, 1 })
			time.Sleep(10 * time.Second)
			w.pool.check(func(*relayConn) (have, want int) { return 1, 2 })
			time.Sleep(20 * time.Second)
			if n := w.warm(); n < poolFloor && w.level() < upkeep.Scant {
				t.Fatalf("%d warm connections", n)
			}
		}
		n := w.dialled() - before
		t.Logf("%d connections, %.2f MB", n, float64(w.spent("lte"))/1e6)
		if n > 400 { // of which 60 in any case
			t.Errorf("%d connections were made", n)
		}
		if n := w.spent("lte"); n > upkeep.Budget+50_000 {
			t.Errorf("%d bytes", n)
		}
	})
}

// While a link lets no subflow through, one connection at a time tries whether it
// does again; when it does, all are replaced at once.
func TestScouts(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		joins := false
		whole := map[*relayConn]bool{}
		w.pool.subflows = func(c *relayConn) (have, want int) {
			if _, known := whole[c]; !known {
				whole[c] = joins
			}
			if whole[c] {
				return 2, 2
			}
			return 1, 2
		}
		w.run()
		time.Sleep(time.Minute)
		before := w.dialled()
		time.Sleep(12 * time.Hour)
		if n := w.dialled() - before; n < 12*4-5 || n > 12*4+60 { // and those that were old
			t.Errorf("%d connections in 12 hours", n)
		}
		w.pool.mu.Lock()
		joins = true
		w.pool.mu.Unlock()
		time.Sleep(renewMax + 5*time.Minute)
		w.wantWarm(t, poolFloor)
		w.pool.mu.Lock()
		defer w.pool.mu.Unlock()
		for _, c := range w.pool.idle {
			if c.lacking {
				t.Error("one that lacks the link is still there")
			}
		}
	})
}

// A NAT has forgotten a subflow: probes come more often, and the connections are
// replaced.
func TestWorn(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		forgotten := map[*relayConn]bool{}
		w.pool.subflows = func(c *relayConn) (have, want int) {
			if forgotten[c] {
				return 1, 2
			}
			return 2, 2
		}
		w.fill(t)
		w.pool.mu.Lock()
		for _, c := range w.pool.idle {
			forgotten[c.relayConn] = true
		}
		w.pool.mu.Unlock()
		before := w.dialled()
		time.Sleep(lookEvery + time.Second)
		if w.probe() != poolProbe {
			t.Error("one look is not enough: the link may just be going down")
		}
		time.Sleep(2 * lookEvery)
		if n := w.dialled() - before; n != poolFloor {
			t.Errorf("%d new connections, want %d", n, poolFloor)
		}
		if w.probe() != keepAlive {
			t.Error("the probes come as seldom as before")
		}
		time.Sleep(wornTime)
		if w.probe() != poolProbe {
			t.Error("the probes come as often after a day")
		}
	})
}

// Something on the way, or the relay, ends every connection that rests for a
// minute: the pool does not make new ones all day, and has them when somebody asks.
func TestConnectionsThatDieAtRest(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.metered()
		w.fill(t)
		for range 24 * 60 {
			time.Sleep(time.Minute)
			w.kill(-1)
		}
		t.Logf("%d connections, %.2f MB", w.dialled(), float64(w.spent("lte"))/1e6)
		if n := w.dialled(); n > 1000 {
			t.Errorf("%d connections in a day", n)
		}
		if w.probe() != keepAlive {
			t.Error("the probes come as seldom as before")
		}
		w.pool.take()
		time.Sleep(time.Second)
		if n := w.warm(); n == 0 && w.level() < upkeep.Spent {
			t.Error("none is there soon after somebody asked")
		}
	})
}

// While nobody asks, a relay that is gone for long is tried seldom; a request
// changes that.
func TestLongOutage(t *testing.T) {
	for name, how := range map[string]relayState{"refusing": refusing, "silent": silent} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				w.metered()
				w.fill(t)
				w.set(how)
				w.kill(-1)
				time.Sleep(longOutage + time.Minute)
				before := w.dialled()
				time.Sleep(time.Hour)
				if n := w.dialled() - before; n < 60 || n > 130 {
					t.Errorf("%d tries in an hour", n)
				}
				w.set(up)
				if c := w.pool.take(); c != nil {
					t.Error("a connection to a relay that is gone")
				}
				time.Sleep(connectTime + 2*time.Second)
				if w.warm() == 0 {
					t.Error("the relay was not found soon after somebody asked")
				}
			})
		})
	}
}
