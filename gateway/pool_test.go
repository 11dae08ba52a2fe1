package gateway

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tributary/proto/socks"
	"tributary/proxy"
)

func TestPoolFills(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		if r, _ := w.pool.status(); r.State != "connecting" {
			t.Errorf("before the first try the relay is %q", r.State)
		}
		w.run()
		time.Sleep(rtR / 2)
		if n := w.dialled(); n != 1 {
			t.Errorf("%d scouts, want one until the way is known", n)
		}
		time.Sleep(coldTime)
		w.wantWarm(t, 1)
		time.Sleep(coldTime)
		w.wantWarm(t, poolFloor)
		time.Sleep(time.Minute)
		w.wantWarm(t, poolFloor)
		if n := w.dialled(); n != poolFloor {
			t.Errorf("%d connections were made for %d", n, poolFloor)
		}
		r, p := w.pool.status()
		if r.State != "up" || r.RTTms != ms(rtR) || r.Error != "" || p.Hits != 0 || p.Misses != 0 {
			t.Errorf("status %+v %+v", r, p)
		}
	})
}

func TestTakeAndRefill(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.fill(t)
		w.servers.Handle(address("server.test:80"), answers)
		var taken []*relayConn
		for i := range poolFloor {
			c := w.pool.take()
			if c == nil {
				t.Fatalf("take %d of %d: none", i+1, poolFloor)
			}
			taken = append(taken, c)
		}
		if w.pool.take() != nil {
			t.Error("took more than there were")
		}
		if _, p := w.pool.status(); p.Warm != 0 || p.Hits != poolFloor || p.Misses != 1 {
			t.Errorf("status %+v", p)
		}
		// The pool follows the demand: nine in one second, and a quarter more.
		time.Sleep(8 * coldTime)
		w.wantWarm(t, poolFloor+1+2)
		// What was taken works, now and later.
		for _, c := range taken {
			time.Sleep(time.Minute)
			c.Write(socks.AppendConnect(nil, address("server.test:80"), []byte("hello")))
			c.CloseWrite()
			if _, err := socks.ReadReply(c); err != nil {
				t.Fatal(err)
			}
			if b, err := io.ReadAll(c); string(b) != `got 5 bytes "hello", <nil>` || err != nil {
				t.Errorf("read %q, %v", b, err)
			}
			c.Close()
		}
	})
}

// One that is taken is replaced after one cold time.
func TestRefill(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.fill(t)
		for range 3 {
			w.pool.take().Close()
		}
		w.wantWarm(t, poolFloor-3)
		time.Sleep(coldTime)
		synctest.Wait()
		w.wantWarm(t, poolFloor)
	})
}

// No warm connection grows older than the relay's patience, 4 hours, nor is the
// relay left with one that the pool has forgotten.
func TestWarmConnectionsExpire(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.fill(t)
		for range 24 * 4 {
			time.Sleep(15 * time.Minute)
			w.pool.mu.Lock()
			if n := len(w.pool.idle); n < poolFloor/2 {
				t.Errorf("%d warm connections left: they expire together", n)
			}
			for _, c := range w.pool.idle {
				if age := time.Since(c.born); age > warmAge+time.Minute {
					t.Errorf("a warm connection of %v", age)
				}
			}
			w.pool.mu.Unlock()
		}
		w.wantWarm(t, poolFloor)
		if n := w.dialled(); n < 7*poolFloor || n > 12*poolFloor { // each lives 2 to 3.5 hours
			t.Errorf("%d connections in a day", n)
		}
		open := 0
		w.mu.Lock()
		for _, e := range w.ends {
			if _, err := e.Write(nil); err == nil {
				open++
			}
		}
		w.mu.Unlock()
		if open != poolFloor {
			t.Errorf("the relay has %d connections open", open)
		}
	})
}

// A dead connection is found by its watcher, not by a client.
func TestDeadConnectionLeavesThePool(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.fill(t)
		w.kill(3)
		time.Sleep(rtR/2 + time.Millisecond)
		synctest.Wait()
		w.wantWarm(t, poolFloor-3)
		for range poolFloor - 3 {
			if c := w.pool.take(); c == nil {
				t.Error("one that lives was removed")
			} else {
				c.Close()
			}
		}
		if _, p := w.pool.status(); p.Hits != poolFloor-3 || p.Misses != 0 {
			t.Errorf("status %+v", p)
		}
		time.Sleep(time.Minute)
		w.wantWarm(t, poolFloor)
	})
}

func TestRelayDownAndBack(t *testing.T) {
	for name, how := range map[string]relayState{"refusing": refusing, "silent": silent} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				w.fill(t)
				w.set(how)
				w.kill(-1)
				time.Sleep(connectTime + time.Second)
				if r, p := w.pool.status(); r.State != "down" || r.Error == "" || p.Warm != 0 {
					t.Errorf("status %+v %+v", r, p)
				}
				before := w.dialled()
				time.Sleep(time.Minute)
				if n := w.dialled() - before; n < 10 || n > 61 {
					t.Errorf("%d tries in a minute", n)
				}
				if n := strings.Count(w.log.String(), "level=WARN"); n > 3 {
					t.Errorf("%d warnings about one thing:\n%s", n, w.log.String())
				}
				w.set(up)
				if how == silent { // a new request finds the way, and tells the pool
					if c, err := w.dialer.get(w.ctx, otherServer, 1, time.Now().Add(openTime), proxy.Flow{}); err != nil {
						t.Error(err)
					} else {
						c.Close()
					}
				}
				time.Sleep(2 * time.Second)
				if how == refusing && w.warm() == 0 {
					t.Error("not found again within 2 s")
				}
				time.Sleep(connectTime)
				if r, p := w.pool.status(); r.State != "up" || r.Error != "" || p.Warm < poolFloor {
					t.Errorf("status %+v %+v", r, p)
				}
				if !strings.Contains(w.log.String(), "relay is up again") {
					t.Error("nobody is told that it is back")
				}
			})
		})
	}
}

// A join link that is wrong ends the gateway while the person who typed it looks.
func TestRefusedAtFirst(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*world)
		want  string
	}{
		"secret": {func(w *world) { w.dialer.upstream.to.Account = "nobody" }, "nobody"},
		"pin":    {func(w *world) { w.dialer.upstream.to.Pin = sha256.Sum256(nil) }, "key"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				c.spoil(w)
				w.run()
				err := <-w.result
				var refused *refusedError
				if !errors.As(err, &refused) || !strings.Contains(err.Error(), c.want) || refused.Hint() == "" {
					t.Fatalf("ended with %v", err)
				}
				if strings.Contains(err.Error()+refused.Hint(), secretText) {
					t.Error("the error shows the secret")
				}
			})
		})
	}
}

// The account was removed while the gateway ran: it goes on trying, seldom.
func TestRefusedLater(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.fill(t)
		w.mu.Lock()
		w.link.Account = "removed"
		w.mu.Unlock()
		w.kill(-1)
		time.Sleep(5 * time.Second)
		before := w.dialled()
		time.Sleep(time.Minute)
		if n := w.dialled() - before; n < 3 || n > 7 {
			t.Errorf("%d tries in a minute", n)
		}
		if r, _ := w.pool.status(); r.State != "down" || !strings.Contains(r.Error, "default") {
			t.Errorf("status %+v", r)
		}
		w.mu.Lock()
		w.link.Account = "default"
		w.mu.Unlock()
		time.Sleep(retryRefused + time.Second)
		if r, _ := w.pool.status(); r.State != "up" {
			t.Errorf("status %+v", r)
		}
	})
}

// Drain says goodbye on every connection and waits for every goroutine.
func TestDrain(t *testing.T) {
	for name, when := range map[string]time.Duration{"full": 5 * time.Second, "while filling": rtR + coldTime + rtR/2, "first dial": rtR / 2} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				w.run()
				time.Sleep(when)
				w.end()
				synctest.Wait()
				select {
				case err := <-w.result:
					if err != nil {
						t.Error(err)
					}
				default:
					t.Error("run did not return at once")
				}
				w.wantWarm(t, 0)
				w.served.Wait() // the relay has seen the end of each
			})
		})
	}
}

// A link that changed takes with it the connections that lived on it.
func TestCheck(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.fill(t)
		n := 0
		w.pool.check(func(*relayConn) (have, want int) { n++; return 2 * (n % 2), 2 })
		w.wantWarm(t, poolFloor/2)
		time.Sleep(time.Second)
		w.wantWarm(t, poolFloor)
	})
}

// Connections that lack a link serve until others are there.
func TestLackingConnectionsAreReplacedWithoutAGap(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.fill(t)
		before := w.dialled()
		w.pool.check(func(*relayConn) (have, want int) { return 1, 2 })
		w.wantWarm(t, poolFloor)
		for range 40 {
			time.Sleep(time.Second)
			if _, p := w.pool.status(); p.Warm < poolFloor {
				t.Fatalf("%d warm connections", p.Warm)
			}
		}
		w.wantWarm(t, poolFloor)
		if n := w.dialled() - before; n != poolFloor {
			t.Errorf("%d new connections, want %d", n, poolFloor)
		}
		w.pool.mu.Lock()
		defer w.pool.mu.Unlock()
		for _, c := range w.pool.idle {
			if c.lacking {
				t.Error("one that lacks a link is still there")
			}
		}
	})
}

// A request leaves by the first subflow of its connection, so it gets one that
// began over the best link, and the others are replaced; but not because of a doubt.
func TestConnectionsThatBeganElsewhereAreReplaced(t *testing.T) {
	dsl, lte := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("198.51.100.1")
	for name, c := range map[string]struct {
		lag  time.Duration // of lte, over which three have begun
		want int           // are made anew
	}{
		"worse":         {20 * time.Millisecond, 3},
		"as good":       {worthMoving - 1, 0},
		"under a cloud": {doubtLag, 0},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				n := 0
				w.pool.first = func(*relayConn) netip.Addr {
					if n++; n <= 3 {
						return lte
					}
					return dsl
				}
				w.fill(t)
				before := w.dialled()
				w.pool.mu.Lock()
				w.pool.lags = func() map[netip.Addr]time.Duration { return map[netip.Addr]time.Duration{lte: c.lag} }
				best := w.pool.best()
				w.pool.idle = append(w.pool.idle, best)
				w.pool.mu.Unlock()
				if best.first != dsl {
					t.Error("a request gets one that began over the worse link")
				}
				w.pool.poke()
				time.Sleep(40 * time.Second)
				w.wantWarm(t, poolFloor)
				if n := w.dialled() - before; n != c.want {
					t.Errorf("%d new connections, want %d", n, c.want)
				}
			})
		})
	}
}

// A page opens fifty connections in two seconds. The first time some have to wait,
// the second time none; and after a while the pool is small again.
func TestPoolFollowsBursts(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.fill(t)
		burst := func() (misses int64) {
			_, before := w.pool.status()
			for range 50 {
				if c := w.pool.take(); c != nil {
					c.Close()
				}
				time.Sleep(2 * time.Second / 50)
			}
			_, after := w.pool.status()
			return after.Misses - before.Misses
		}
		if n := burst(); n > 5 {
			t.Errorf("%d of 50 missed the first time", n)
		}
		time.Sleep(10 * time.Second)
		if n := burst(); n != 0 {
			t.Errorf("%d of 50 missed the second time", n)
		}
		// All at once, as many as the busiest second had.
		time.Sleep(10 * time.Second)
		w.wantWarm(t, 25+25/4)
		time.Sleep(demandMemory + time.Minute)
		w.wantWarm(t, poolFloor)
	})
}

func TestDemandForgets(t *testing.T) {
	var d demand
	now := time.Unix(1_700_000_000, 0)
	for range 1000 {
		d.add(now)
		now = now.Add(10 * time.Millisecond)
	}
	if n := d.most(now); n < 95 || n > 100 {
		t.Errorf("most is %d, want about 100", n)
	}
	d.add(now.Add(demandMemory / 2))
	if n := d.most(now.Add(demandMemory / 2)); n < 95 {
		t.Errorf("most is %d after half the time", n)
	}
	if n := d.most(now.Add(demandMemory + time.Minute)); n != 1 {
		t.Errorf("most is %d, want the one that came since", n)
	}
}

// A client that goes away does not wait for a dial.
func TestGetEndsWithItsContext(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.set(silent)
		ctx, cancel := context.WithTimeout(w.ctx, time.Second)
		defer cancel()
		began := time.Now()
		if _, err := w.dialer.get(ctx, otherServer, 1, time.Now().Add(openTime), proxy.Flow{}); err == nil || time.Since(began) != time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		began = time.Now()
		if _, err := w.dialer.get(w.ctx, otherServer, 1, time.Now().Add(openTime), proxy.Flow{}); err == nil || time.Since(began) > 5*time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}
