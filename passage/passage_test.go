package passage

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

var (
	dsl   = netip.MustParseAddr("192.168.1.2")
	lte   = netip.MustParseAddr("100.64.0.2")
	six   = netip.MustParseAddr("2001:db8::2")
	relay = netip.MustParseAddr("192.0.2.1")
)

// A middlebox is what is on a way.
type middlebox uint8

const (
	clear middlebox = iota
	strips
	stripsLater // from the first data on
	drops
	silent
	resets
)

const wayRTT = 40 * time.Millisecond

// A world is ways with middleboxes, in virtual time.
type world struct {
	*Monitor
	mu     sync.Mutex
	boxes  map[way]middlebox
	dialed map[way]int
	plain  int
}

type conn struct {
	net.Conn
	multipath bool
	late      bool
}

func (c *conn) Read(b []byte) (int, error) {
	time.Sleep(wayRTT)
	if c.late {
		c.multipath = false
	}
	return 7, nil
}
func (c *conn) Write(b []byte) (int, error)    { return len(b), nil }
func (c *conn) SetDeadline(at time.Time) error { return nil }
func (c *conn) Close() error                   { return nil }

// dials returns how often a way was tried.
func (w *world) dials(local netip.Addr, port uint16) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.dialed[way{local, port}]
}

func (w *world) dial(ctx context.Context, local netip.Addr, to netip.AddrPort, multipath bool) (net.Conn, error) {
	w.mu.Lock()
	at := way{local, to.Port()}
	w.dialed[at]++
	if !multipath {
		w.plain++
	}
	box := w.boxes[at]
	w.mu.Unlock()
	if box == silent || box == drops && multipath {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	time.Sleep(wayRTT)
	if box == resets && multipath {
		return nil, syscall.ECONNREFUSED
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return &conn{multipath: multipath && box != strips, late: box == stripsLater}, nil
}

func (w *world) set(local netip.Addr, port uint16, box middlebox) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.boxes[way{local, port}] = box
}

func newWorld(t *testing.T, alive bool) *world {
	w := &world{boxes: map[way]middlebox{}, dialed: map[way]int{}}
	w.Monitor = New(Config{
		Links: func() []Link {
			return []Link{{Name: "dsl", Addrs: []netip.Addr{dsl}}, {Name: "lte", Addrs: []netip.Addr{lte, six}, Metered: true}}
		},
		Relay: func() []netip.Addr { return []netip.Addr{relay} },
		Ports: []uint16{8443, 443},
		Alive: func(string) bool { return alive },
		Dial:  w.dial,
		Multipath: func(c net.Conn) bool {
			return c.(*conn).multipath
		},
		Log: slog.New(slog.DiscardHandler),
	})
	return w
}

// run begins, and returns what ends it.
func (w *world) run(t *testing.T) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.Run(ctx)
	}()
	return func() { cancel(); <-done }
}

func (w *world) want(t *testing.T, when string, d, l Verdict, port uint16) {
	t.Helper()
	if gd, gl, gp := w.Verdict(dsl), w.Verdict(lte), w.Port(); gd != d || gl != l || gp != port {
		t.Errorf("%s: dsl %v, lte %v at %d; want %v, %v at %d", when, gd, gl, gp, d, l, port)
	}
}

// TestProbes has each kind of middlebox on DSL, at both ports, and takes it away.
func TestProbes(t *testing.T) {
	for _, c := range []struct {
		box   middlebox
		alive bool
		want  Verdict
	}{
		{clear, true, OK}, {strips, true, Stripped}, {stripsLater, true, Stripped}, {drops, true, Blocked}, {resets, true, Blocked},
		{silent, true, Shut}, {silent, false, Unknown},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, c.alive)
			w.set(dsl, 8443, c.box)
			w.set(dsl, 443, c.box)
			defer w.run(t)()
			time.Sleep(15 * time.Second)
			w.want(t, "at first", c.want, OK, 8443)
			select {
			case <-w.Changed():
			default:
				t.Error("nobody was told")
			}
			w.set(dsl, 8443, clear)
			time.Sleep(50 * time.Second)
			if c.want != Unknown { // then nothing asks for another probe
				w.want(t, "repaired", OK, OK, 8443)
			}
			if w.Verdict(six) != Unknown {
				t.Errorf("a family that the relay lacks: %v", w.Verdict(six))
			}
		})
	}
}

// TestOtherPort sees the other port used while it is the better one.
func TestOtherPort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, true)
		defer w.run(t)()
		time.Sleep(time.Second)
		w.want(t, "all in order", OK, OK, 8443)
		if n := w.dialed[way{dsl, 443}]; n != 0 {
			t.Errorf("the other port was tried %d times for nothing", n)
		}
		w.set(dsl, 8443, drops)
		w.Tell(dsl, 8443, Late)
		w.Tell(dsl, 8388, Late) // of no interest
		if !w.Doubtful(dsl) || w.Doubtful(lte) {
			t.Error("the wrong one is in doubt")
		}
		time.Sleep(10 * time.Second)
		w.want(t, "blocked at the first", OK, OK, 443)
		w.set(dsl, 8443, clear)
		time.Sleep(50 * time.Second)
		w.want(t, "repaired", OK, OK, 8443)
	})
}

// TestPortOfThoseLeft sees everybody told when it is a link's end that makes the other
// port the better one: verdicts are on the port in use.
func TestPortOfThoseLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, false)
		var mu sync.Mutex
		links := []Link{{Name: "dsl", Addrs: []netip.Addr{dsl}}, {Name: "lte", Addrs: []netip.Addr{lte}}}
		w.config.Links = func() []Link {
			mu.Lock()
			defer mu.Unlock()
			return links
		}
		w.set(dsl, 8443, drops)
		w.set(lte, 443, silent)
		defer w.run(t)()
		time.Sleep(time.Minute)
		w.want(t, "of two", Blocked, OK, 8443)
		select {
		case <-w.Changed():
		default:
		}
		mu.Lock()
		links = links[:1]
		mu.Unlock()
		w.Hurry()
		time.Sleep(time.Second)
		select {
		case <-w.Changed():
		default:
			t.Error("nobody was told")
		}
		w.want(t, "of one", OK, Unknown, 443)
	})
}

// TestRest counts what a day costs.
func TestRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, true)
		w.set(lte, 8443, drops)
		w.set(lte, 443, drops)
		defer w.run(t)()
		time.Sleep(24 * time.Hour)
		if n := w.dialed[way{dsl, 8443}]; n < 20 || n > 30 {
			t.Errorf("a link in order was probed %d times", n)
		}
		if n := w.dialed[way{lte, 8443}]; n < 300 || n > 800 { // the control too
			t.Errorf("a metered link that is blocked was dialled %d times", n)
		}
	})
}

// TestEnds sees that Run waits for its probes.
func TestEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, false)
		w.set(dsl, 8443, silent)
		stop := w.run(t)
		time.Sleep(100 * time.Millisecond)
		stop()
		if w.Verdict(dsl) != Unknown {
			t.Error("a probe that was broken off has an outcome")
		}
	})
}

// TestNoAlert takes an end without a word for an answer, and silence for none.
func TestNoAlert(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, false)
		for _, c := range []struct {
			read error
			want Evidence
		}{{syscall.ECONNRESET, passed}, {nil, passed}, {os.ErrDeadlineExceeded, nothing}} {
			w.config.Dial = func(context.Context, netip.Addr, netip.AddrPort, bool) (net.Conn, error) {
				return &ending{conn{multipath: true}, c.read}, nil
			}
			w.config.Multipath = func(c net.Conn) bool { return c.(*ending).multipath }
			if got := w.byMultipath(t.Context(), dsl, netip.AddrPortFrom(relay, 8443)); got != c.want {
				t.Errorf("%v: %v, want %v", c.read, got, c.want)
			}
		}
	})
}

type ending struct {
	conn
	err error
}

func (c *ending) Read([]byte) (int, error) { return 0, c.err }

// TestStatus has DSL blocked at the first port, and tells of each way since when it is
// how it is, until when, and when it is asked next.
func TestStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, true)
		var mu sync.Mutex
		var made []Decision
		w.config.Decided = func(d Decision) {
			mu.Lock()
			defer mu.Unlock()
			made = append(made, d)
		}
		w.set(dsl, 8443, drops)
		begin := time.Now()
		defer w.run(t)()
		time.Sleep(15 * time.Second)
		var got []string
		for _, x := range w.Status() {
			after := func(t time.Time) string {
				if t.IsZero() {
					return "-"
				}
				return t.Sub(begin).Round(time.Second).String()
			}
			got = append(got, fmt.Sprint(x.Link, " ", x.Local, " ", x.Port, " ", x.Verdict, " ", after(x.Since), " ", after(x.Expires), " ", after(x.Next)))
		}
		want := []string{
			"dsl 192.168.1.2 8443 blocked 3s - 21s", "dsl 192.168.1.2 443 ok 3s 1h0m3s -",
			"lte 100.64.0.2 8443 ok 0s 1h0m0s -", "lte 100.64.0.2 443 ok 3s 1h0m3s -",
		}
		if !slices.Equal(got, want) {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		w.set(dsl, 8443, clear)
		time.Sleep(50 * time.Second)
		mu.Lock()
		defer mu.Unlock()
		if len(made) != 2 || made[0].Link != "dsl" || made[0].Port != 8443 || made[0].From != Unknown || made[0].To != Blocked ||
			made[1].From != Blocked || made[1].To != OK || !made[1].At.After(made[0].At) {
			t.Errorf("decisions %+v", made)
		}
	})
}

// TestAnotherGateway has a link lead elsewhere, with the addresses of before: what was
// seen of the way before is forgotten, and the new one is asked at once.
func TestAnotherGateway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, true)
		var mu sync.Mutex
		via := [2]netip.Addr{netip.MustParseAddr("192.168.1.1")}
		w.set(dsl, 443, silent)
		w.set(lte, 443, silent)
		w.config.Links = func() []Link {
			mu.Lock()
			defer mu.Unlock()
			return []Link{{Name: "dsl", Addrs: []netip.Addr{dsl}, Via: via}, {Name: "lte", Addrs: []netip.Addr{lte}}}
		}
		for range 3 {
			w.Tell(dsl, 8443, Missed)
		}
		defer w.run(t)()
		time.Sleep(time.Second)
		for range 7 { // until trials are rare
			w.want(t, "joins do not come", Refused, OK, 8443)
			for w.Verdict(dsl) == Refused {
				time.Sleep(time.Second)
			}
			w.Tell(dsl, 8443, Missed)
		}
		n := w.dials(dsl, 8443)
		time.Sleep(time.Minute)
		if w.dials(dsl, 8443) != n {
			t.Error("trials are not rare: this proves nothing")
		}
		mu.Lock()
		via[0] = netip.MustParseAddr("192.168.1.254")
		mu.Unlock()
		w.Hurry()
		time.Sleep(time.Second)
		w.want(t, "another gateway", OK, OK, 8443)
		time.Sleep(time.Minute)
		if got := w.dials(dsl, 8443); got != n+1 {
			t.Errorf("%d probes more, want 1", got-n)
		}
	})
}
