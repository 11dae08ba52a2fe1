package gateway

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestPut(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.fill(t)
		take := func(n int) (all []*relayConn) {
			for range n {
				all = append(all, w.pool.take())
			}
			return all
		}
		c := w.pool.take()
		if !w.pool.put(c) {
			t.Fatal("there is room, but it was not taken")
		}
		// What the session has left is on its way still, and the kernel would send
		// the next request around it.
		others := take(poolFloor - 1)
		if slices.Contains(others, c) {
			t.Error("a connection was taken from which a session had just gone")
		}
		time.Sleep(rtR + ackSlack)
		if got := w.pool.take(); got != c {
			t.Error("the one with the grown windows is not the first to be taken")
		}
		// Of two, the one put back last.
		d := others[0]
		w.pool.put(c)
		w.pool.put(d)
		time.Sleep(rtR + ackSlack)
		if got := w.pool.take(); got != d {
			t.Error("not the one put back last")
		}
		for _, o := range others[1:] {
			o.Close()
		}
		w.pool.put(d)
		time.Sleep(demandMemory + time.Minute)
		w.wantWarm(t, poolFloor)
	})
}

func TestPutRefuses(t *testing.T) {
	for name, spoil := range map[string]func(*world, *relayConn){
		"an old one":       func(_ *world, c *relayConn) { c.born = time.Now().Add(-warmAge) },
		"before login":     func(_ *world, c *relayConn) { c.pending = true },
		"without TLS":      func(_ *world, c *relayConn) { c.tls = nil },
		"lacking a link":   func(w *world, _ *relayConn) { w.pool.subflows = func(*relayConn) (have, want int) { return 1, 2 } },
		"when all is over": func(w *world, _ *relayConn) { w.end(); synctest.Wait() },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				w.fill(t)
				c := w.pool.take()
				tls := c.tls
				spoil(w, c)
				if w.pool.put(c) {
					t.Error("was taken")
				}
				tls.Close()
			})
		})
	}
}

// A pool that is full takes a few more, not any number.
func TestPutIntoAFullPool(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.fill(t)
		var taken []*relayConn
		for range 6 {
			taken = append(taken, w.pool.take())
		}
		time.Sleep(time.Second)
		kept := 0
		for _, c := range taken {
			if w.pool.put(c) {
				kept++
			} else {
				c.Close()
			}
		}
		if kept != poolFloor/4 {
			t.Errorf("%d more than %d were kept", kept, poolFloor)
		}
		w.wantWarm(t, poolFloor+poolFloor/4)
		time.Sleep(time.Minute)
		w.wantWarm(t, poolFloor)
	})
}

// One that dies after it was put back is not handed out.
func TestPutIsWatched(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.fill(t)
		c := w.pool.take()
		w.pool.put(c)
		w.kill(-1)
		time.Sleep(rtR)
		synctest.Wait()
		for range poolFloor + 1 {
			if got := w.pool.take(); got == c {
				t.Error("a dead connection")
			} else if got != nil {
				got.Close()
			}
		}
	})
}
