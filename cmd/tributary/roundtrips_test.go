package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"tributary/account"
	"tributary/gateway"
	"tributary/proto/httpconnect"
	"tributary/proto/socks"
	"tributary/proxy"
	"tributary/proxy/proxytest"
	"tributary/relay"
)

// Both ends of Tributary, real but for the sockets, in virtual time: R is the
// round trip between gateway and relay, P that between relay and final server.
const (
	rtR = 40 * time.Millisecond
	rtP = 20 * time.Millisecond
)

// A world is a gateway, a relay, and final servers, joined by wires in memory.
type world struct {
	gateway *gateway.Gateway
	servers *proxytest.Servers
	ctx     context.Context
	relay   *relay.Relay
	restart func() // has another run of the relay take what comes from now on
	down    bool   // the way to the relay swallows everything
	losing  bool   // new connections to it stand, and lose all that is written

	mu     sync.Mutex
	ends   []*lossy // the gateway's ends of its connections to the relay
	counts map[*lossy]int64
}

func newWorld(t testing.TB, opening gateway.Opening) *world {
	t.Helper()
	ctx, end := context.WithCancel(context.Background())
	w := &world{ctx: ctx, servers: &proxytest.Servers{Delay: rtP / 2}}
	dir := t.TempDir()
	accounts, err := account.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	local := netip.MustParseAddrPort("127.0.0.1:0")
	w.restart = func() {
		w.relay, err = relay.New(relay.Config{
			Listen: local, Shadowsocks: local, StateDir: dir, Accounts: accounts, Advertise: "192.0.2.2",
			Egress: w.servers, Log: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	w.restart()
	link, err := w.relay.JoinLink(account.Default)
	if err != nil {
		t.Fatal(err)
	}
	w.gateway, err = gateway.New(gateway.Config{
		SOCKS: local, Relay: link, Opening: opening, Log: slog.New(slog.DiscardHandler),
		Dial: func(ctx context.Context, _ netip.Addr, to netip.AddrPort) (net.Conn, error) {
			if w.down {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			time.Sleep(rtR) // the TCP handshake
			end, far := proxytest.Wire(rtR / 2)
			near := &lossy{End: end}
			near.dead.Store(w.losing)
			w.mu.Lock()
			w.ends = append(w.ends, near)
			w.mu.Unlock()
			if to.Port() == link.Shadowsocks {
				go w.relay.ServeShadowsocks(w.ctx, far)
			} else {
				go w.relay.ServeConn(w.ctx, far)
			}
			return near, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		end()
		time.Sleep(time.Minute) // last words, and those who linger for them
		w.servers.Wait()
		synctest.Wait()
	})
	return w
}

// warm fills the pool.
func (w *world) warm() {
	go w.gateway.Warm(w.ctx)
	time.Sleep(5 * time.Second)
}

// nothing leaves the gateway as it starts: it has not met the relay yet.
func (w *world) nothing() {}

// cool lets the gateway meet the relay, and ends with an empty pool.
func (w *world) cool() {
	ctx, end := context.WithCancel(w.ctx)
	defer end()
	go w.gateway.Warm(ctx)
	time.Sleep(5 * time.Second)
	end()
	time.Sleep(5 * time.Second)
}

// recycle leaves a connection in the pool that has carried a session.
func (w *world) recycle() {
	w.warm()
	to, _ := proxy.ParseAddr("before.test:80")
	w.servers.Handle(to, proxytest.Echo)
	conn := w.client()
	if err := socks5Client(conn, to); err != nil {
		panic(err)
	}
	fmt.Fprint(conn, "before")
	conn.CloseWrite()
	io.Copy(io.Discard, conn)
	conn.Close()
	time.Sleep(time.Second)
	w.used() // from here on
}

// race has warm connections over a link that is doubtful, rightly or not.
func (w *world) race() {
	w.warm()
	w.gateway.Doubt(netip.Addr{})
}

// lose has warm connections over a link that is dead already, which is suspected.
func (w *world) lose() {
	w.race()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.ends {
		e.dead.Store(true)
	}
}

// A lossy end may lose all that is written to it.
type lossy struct {
	*proxytest.End
	dead atomic.Bool
}

func (l *lossy) Write(p []byte) (int, error) {
	if l.dead.Load() {
		return len(p), nil
	}
	return l.End.Write(p)
}

// used returns how many connections have carried anything since the last call.
func (w *world) used() int { return len(w.carried()) }

func (w *world) carried() (ends []*lossy) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.counts == nil {
		w.counts = make(map[*lossy]int64)
	}
	for _, e := range w.ends {
		if c := e.Count().Bytes; c != w.counts[e] {
			w.counts[e] = c
			ends = append(ends, e)
		}
	}
	return ends
}

// client connects to the gateway, over no distance.
func (w *world) client() proxy.Conn {
	near, far := proxytest.Wire(0)
	go w.gateway.ServeConn(w.ctx, far)
	return near
}

// An inbound is a way to ask for a stream: it returns when the answer is here.
type inbound func(c proxy.Conn, to proxy.Addr) error

func socks5Client(c proxy.Conn, to proxy.Addr) error {
	c.Write(socks.AppendGreeting(nil, socks.NoAuth))
	if _, err := socks.ReadSelection(c); err != nil {
		return err
	}
	c.Write(socks.AppendConnect(nil, to, nil))
	_, err := socks.ReadReply(c)
	return err
}

func socks4Client(c proxy.Conn, to proxy.Addr) error {
	b, err := socks.AppendRequest4(nil, socks.Message4{Command: socks.Connect, To: to})
	if err != nil {
		return err
	}
	c.Write(b)
	_, err = socks.ReadReply4(c)
	return err
}

func httpClient(c proxy.Conn, to proxy.Addr) error {
	c.Write(httpconnect.AppendConnect(nil, to, "", ""))
	return httpconnect.ReadReply(c)
}

var inbounds = []struct {
	name string
	ask  inbound
	host string
}{
	{"socks5 name", socks5Client, "server.test"},
	{"socks5 IPv4", socks5Client, "198.51.100.7"},
	{"socks5 IPv6", socks5Client, "2001:db8::7"},
	{"socks4", socks4Client, "198.51.100.7"},
	{"socks4a", socks4Client, "server.test"},
	{"http name", httpClient, "server.test"},
	{"http IPv6", httpClient, "2001:db8::7"},
}

// answers is a server that speaks second.
func answers(c proxy.Conn) {
	buf := make([]byte, 64)
	n, err := c.Read(buf)
	if err == nil {
		fmt.Fprintf(c, "answer to %s", buf[:n])
	}
	io.Copy(io.Discard, c)
}

// greets is a server that speaks first.
func greets(c proxy.Conn) {
	fmt.Fprint(c, "banner")
	io.Copy(io.Discard, c)
}

func TestRoundTripBudgets(t *testing.T) {
	const direct = 2*rtR + 2*rtP
	for _, in := range inbounds {
		for _, c := range []struct {
			name        string
			before      func(*world)
			port        uint16
			serverFirst bool
			want        time.Duration
		}{
			{"warm, web", (*world).warm, 443, false, rtR + 2*rtP},
			{"warm, server speaks first", (*world).warm, 22, true, rtR + 2*rtP},
			{"warm, unknown port", (*world).warm, 9000, false, 2*rtR + 2*rtP}, // its answer is the truth
			{"recycled, web", (*world).recycle, 443, false, rtR + 2*rtP},
			{"recycled, server speaks first", (*world).recycle, 22, true, rtR + 2*rtP},
			{"recycled, unknown port", (*world).recycle, 9000, false, 2*rtR + 2*rtP},
			{"raced, web", (*world).race, 443, false, rtR + 2*rtP},
			{"raced, server speaks first", (*world).race, 22, true, rtR + 2*rtP},
			{"raced, unknown port", (*world).race, 9000, false, 2*rtR + 2*rtP},
			{"raced, the first lost, web", (*world).lose, 443, false, direct},
			{"raced, the first lost, server speaks first", (*world).lose, 22, true, direct},
			{"raced, the first lost, unknown port", (*world).lose, 9000, false, 3*rtR + 2*rtP},
			{"cold, web", (*world).cool, 443, false, direct},
			{"cold, server speaks first", (*world).cool, 22, true, direct},
			{"cold, unknown port", (*world).cool, 9000, false, 3*rtR + 2*rtP},
			{"first of all, web", (*world).nothing, 443, false, 3*rtR + 2*rtP},
			{"first of all, server speaks first", (*world).nothing, 22, true, 3*rtR + 2*rtP},
			{"first of all, unknown port", (*world).nothing, 9000, false, 4*rtR + 2*rtP},
		} {
			t.Run(in.name+", "+c.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t, gateway.Auto)
					to, err := proxy.ParseAddr(net.JoinHostPort(in.host, fmt.Sprint(c.port)))
					if err != nil {
						t.Fatal(err)
					}
					handler := answers
					if c.serverFirst {
						handler = greets
					}
					w.servers.Handle(to, handler)
					c.before(w)
					conn := w.client()
					start := time.Now()
					if err := in.ask(conn, to); err != nil {
						t.Fatal(err)
					}
					if !c.serverFirst {
						fmt.Fprint(conn, "question")
					}
					if _, err := conn.Read(make([]byte, 64)); err != nil {
						t.Fatal(err)
					}
					if got := time.Since(start); got != c.want {
						t.Errorf("first byte after %v, want %v (direct TCP: %v)", got, c.want, direct)
					}
					conn.Close()
					time.Sleep(time.Second)
					if n := w.dialled(to); n != 1 {
						t.Errorf("the server was dialled %d times", n)
					}
				})
			})
		}
	}
}

// dialled returns how often the relay has opened a stream to a server.
func (w *world) dialled(to proxy.Addr) (n int) {
	for _, d := range w.servers.Dialed() {
		if d.To == to {
			n++
		}
	}
	return n
}

func TestSecondVisitNeedsNoTruth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, gateway.Auto)
		to, _ := proxy.ParseAddr("server.test:9000")
		w.servers.Handle(to, answers)
		w.warm()
		for _, want := range []time.Duration{2*rtR + 2*rtP, rtR + 2*rtP} {
			conn := w.client()
			start := time.Now()
			if err := socks5Client(conn, to); err != nil {
				t.Fatal(err)
			}
			fmt.Fprint(conn, "question")
			conn.Read(make([]byte, 64))
			if got := time.Since(start); got != want {
				t.Errorf("first byte after %v, want %v", got, want)
			}
			conn.Close()
		}
	})
}

func TestRefusalsAreHonestAndFast(t *testing.T) {
	for _, reason := range []proxy.Reason{proxy.Refused, proxy.HostUnreachable, proxy.NameNotFound, proxy.NotAllowed, proxy.TimedOut} {
		for _, c := range []struct {
			name   string
			before func(*world)
			want   time.Duration
		}{
			{"warm", (*world).warm, rtR + rtP},
			{"recycled", (*world).recycle, rtR + rtP},
			{"raced", (*world).race, rtR + rtP},
			{"raced, the first lost", (*world).lose, 2*rtR + rtP},
			{"cold", (*world).cool, 2*rtR + rtP},
		} {
			t.Run(c.name+", "+reason.String(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t, gateway.Honest)
					to, _ := proxy.ParseAddr("server.test:443")
					w.servers.Refuse(to, reason)
					c.before(w)
					conn := w.client()
					start := time.Now()
					err := socks5Client(conn, to)
					if want := socks.Code(reason); err == nil || socks.Code(proxy.ReasonOf(err)) != want {
						t.Errorf("got %v, want code %d", err, want)
					}
					if got := time.Since(start); got != c.want {
						t.Errorf("refused after %v, want %v", got, c.want)
					}
					conn.Close()
				})
			})
		}
	}
}

// A web client is told at once that its stream is open. When that was wrong it
// gets a reset, and the next one waits for the truth.
func TestWrongGuessIsAResetAndALesson(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, gateway.Auto)
		to, _ := proxy.ParseAddr("server.test:443")
		w.servers.Refuse(to, proxy.Refused)
		w.warm()
		conn := w.client()
		if err := socks5Client(conn, to); err != nil {
			t.Fatalf("told to wait: %v", err)
		}
		if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
			t.Fatalf("read %v, want a reset", err)
		}
		conn = w.client()
		if err := socks5Client(conn, to); proxy.ReasonOf(err) != proxy.Refused {
			t.Fatalf("second answer: %v, want the truth", err)
		}
	})
}

func TestRelayDownIsSaidWithinFiveSeconds(t *testing.T) {
	for _, opening := range []gateway.Opening{gateway.Auto, gateway.Honest} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, opening)
			w.down = true
			to, _ := proxy.ParseAddr("server.test:9000")
			conn := w.client()
			start := time.Now()
			err := socks5Client(conn, to)
			if err == nil || time.Since(start) > 5*time.Second {
				t.Fatalf("answer %v after %v", err, time.Since(start))
			}
		})
	}
}
