package egress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"tributary/proxy"
)

const (
	six   = "2606:4700::1"
	sixB  = "2606:4700::2"
	four  = "8.8.8.8"
	fourB = "8.8.4.4"
)

// A fakeNet is DNS and the Internet in virtual time.
type fakeNet struct {
	dns   map[string]fakeAnswer // by "ip4" and "ip6"
	hosts map[string]fakeHost   // by address; others never answer

	mu    sync.Mutex
	begun time.Time
	tries []string // "250ms 8.8.8.8"
	open  int
}

type fakeAnswer struct {
	after time.Duration
	addrs []string
	err   error
}

type fakeHost struct {
	after time.Duration
	err   error
	deaf  bool // does not notice that its caller gave up
	self  bool // is this host
}

type fakeConn struct {
	net.Conn // nil: nothing else is called
	net      *fakeNet
	ip, here netip.Addr
	once     sync.Once
	wrote    []byte
	writeErr error
}

func (c *fakeConn) Write(b []byte) (int, error) {
	c.wrote = append(c.wrote, b...)
	return len(b), c.writeErr
}
func (c *fakeConn) SetWriteDeadline(time.Time) error { return nil }
func (c *fakeConn) LocalAddr() net.Addr              { return &net.TCPAddr{IP: c.here.AsSlice(), Port: 40000} }
func (c *fakeConn) RemoteAddr() net.Addr             { return &net.TCPAddr{IP: c.ip.AsSlice(), Port: 443} }
func (c *fakeConn) CloseWrite() error                { return nil }
func (c *fakeConn) Close() error {
	c.once.Do(func() { c.net.mu.Lock(); c.net.open--; c.net.mu.Unlock() })
	return nil
}

func (n *fakeNet) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	a := n.dns[network]
	if err := sleep(ctx, a.after); err != nil {
		return nil, &net.DNSError{Err: err.Error(), Name: host, IsTimeout: errors.Is(err, context.DeadlineExceeded)}
	}
	if a.err == nil && len(a.addrs) == 0 {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	var addrs []netip.Addr
	for _, s := range a.addrs {
		addrs = append(addrs, netip.MustParseAddr(s))
	}
	return addrs, a.err
}

func (n *fakeNet) dial(ctx context.Context, to netip.AddrPort) (proxy.Conn, error) {
	n.mu.Lock()
	n.tries = append(n.tries, fmt.Sprintf("%v %v", time.Since(n.begun), to.Addr()))
	n.mu.Unlock()
	h, ok := n.hosts[to.Addr().String()]
	if !ok {
		h.after = time.Hour
	}
	if h.deaf {
		time.Sleep(h.after)
	} else if err := sleep(ctx, h.after); err != nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: net.TCPAddrFromAddrPort(to), Err: err}
	}
	if h.err != nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: net.TCPAddrFromAddrPort(to), Err: h.err}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.open++
	here := netip.MustParseAddr("5.9.17.33")
	if h.self {
		here = to.Addr()
	}
	return &fakeConn{net: n, ip: to.Addr(), here: here}, nil
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (n *fakeNet) dialer(c Config) *Dialer {
	c.Resolver = n
	d := New(c)
	d.dial = n.dial
	d.host.interfaces = func() ([]netip.Addr, error) {
		return []netip.Addr{netip.MustParseAddr("5.9.17.33"), netip.MustParseAddr("2a01:4f8::7")}, nil
	}
	n.begun = time.Now()
	return d
}

func TestRace(t *testing.T) {
	const ms = time.Millisecond
	up := func(after time.Duration) fakeHost { return fakeHost{after: after} }
	down := func(after time.Duration, err error) fakeHost { return fakeHost{after: after, err: err} }
	servfail := &net.DNSError{Err: "server misbehaving", IsTemporary: true}
	for _, tt := range []struct {
		name   string
		v6, v4 fakeAnswer
		hosts  map[string]fakeHost
		winner string       // or
		reason proxy.Reason // and
		text   string       // part of the error
		tries  []string
		took   time.Duration
	}{
		{name: "both up, IPv6 wins", v6: fakeAnswer{10 * ms, []string{six}, nil}, v4: fakeAnswer{10 * ms, []string{four}, nil},
			hosts: map[string]fakeHost{six: up(30 * ms), four: up(1 * ms)}, winner: six, tries: []string{"10ms " + six}, took: 40 * ms},
		{name: "dead IPv6 costs 250 ms", v6: fakeAnswer{0, []string{six}, nil}, v4: fakeAnswer{0, []string{four}, nil},
			hosts: map[string]fakeHost{four: up(20 * ms)}, winner: four, tries: []string{"0s " + six, "250ms " + four}, took: 270 * ms},
		{name: "no route for IPv6 costs nothing", v6: fakeAnswer{0, []string{six, sixB}, nil}, v4: fakeAnswer{0, []string{four}, nil},
			hosts:  map[string]fakeHost{six: down(1*ms, syscall.ENETUNREACH), sixB: down(1*ms, syscall.ENETUNREACH), four: up(20 * ms)},
			winner: four, tries: []string{"0s " + six, "1ms " + four}, took: 21 * ms},
		{name: "AAAA first waits for nothing", v6: fakeAnswer{10 * ms, []string{six}, nil}, v4: fakeAnswer{400 * ms, []string{four}, nil},
			hosts: map[string]fakeHost{six: up(20 * ms), four: up(20 * ms)}, winner: six, tries: []string{"10ms " + six}, took: 30 * ms},
		{name: "IPv4 in an AAAA record is IPv4", v6: fakeAnswer{0, []string{"::ffff:" + fourB, six}, nil}, v4: fakeAnswer{time.Hour, nil, nil},
			hosts: map[string]fakeHost{fourB: up(0)}, winner: fourB, tries: []string{"0s " + six, "250ms " + fourB}, took: 250 * ms},
		{name: "A first, AAAA in time", v6: fakeAnswer{40 * ms, []string{six}, nil}, v4: fakeAnswer{10 * ms, []string{four}, nil},
			hosts: map[string]fakeHost{six: up(20 * ms), four: up(20 * ms)}, winner: six, tries: []string{"40ms " + six}, took: 60 * ms},
		{name: "A first, AAAA late", v6: fakeAnswer{400 * ms, []string{six}, nil}, v4: fakeAnswer{10 * ms, []string{four}, nil},
			hosts: map[string]fakeHost{six: up(20 * ms), four: up(20 * ms)}, winner: four, tries: []string{"60ms " + four}, took: 80 * ms},
		{name: "A first, no AAAA", v6: fakeAnswer{20 * ms, nil, nil}, v4: fakeAnswer{10 * ms, []string{four}, nil},
			hosts: map[string]fakeHost{four: up(20 * ms)}, winner: four, tries: []string{"20ms " + four}, took: 40 * ms},
		{name: "AAAA while IPv4 is tried", v6: fakeAnswer{100 * ms, []string{six}, nil}, v4: fakeAnswer{0, []string{four, fourB}, nil},
			hosts: map[string]fakeHost{six: up(20 * ms)}, winner: six, tries: []string{"50ms " + four, "300ms " + six}, took: 320 * ms},
		{name: "AAAA never answers", v6: fakeAnswer{time.Hour, nil, nil}, v4: fakeAnswer{0, []string{four}, nil},
			hosts: map[string]fakeHost{four: up(20 * ms)}, winner: four, tries: []string{"50ms " + four}, took: 70 * ms},
		{name: "families take turns", v6: fakeAnswer{0, []string{six, sixB}, nil}, v4: fakeAnswer{0, []string{four, fourB}, nil},
			hosts: map[string]fakeHost{fourB: up(0)}, winner: fourB,
			tries: []string{"0s " + six, "250ms " + four, "500ms " + sixB, "750ms " + fourB}, took: 750 * ms},
		{name: "slow one still wins", v6: fakeAnswer{0, []string{six}, nil}, v4: fakeAnswer{0, []string{four}, nil},
			hosts: map[string]fakeHost{six: up(300 * ms), four: up(400 * ms)}, winner: six, tries: []string{"0s " + six, "250ms " + four}, took: 300 * ms},
		{name: "loser that comes up is closed", v6: fakeAnswer{0, []string{six}, nil}, v4: fakeAnswer{0, []string{four}, nil},
			hosts: map[string]fakeHost{six: {after: 280 * ms, deaf: true}, four: up(20 * ms)}, winner: four,
			tries: []string{"0s " + six, "250ms " + four}, took: 280 * ms},
		{name: "only allowed addresses are used", v6: fakeAnswer{0, []string{"::1", "fd00::1"}, nil}, v4: fakeAnswer{0, []string{"10.0.0.1", "5.9.17.33", four}, nil},
			hosts: map[string]fakeHost{four: up(0)}, winner: four, tries: []string{"0s " + four}, took: 0},

		{name: "none allowed", v6: fakeAnswer{0, nil, nil}, v4: fakeAnswer{5 * ms, []string{"169.254.169.254", "10.0.0.1"}, nil},
			reason: proxy.NotAllowed, text: "169.254.169.254 is not to be reached: link-local, RFC 3927", took: 5 * ms},
		{name: "own address", v6: fakeAnswer{0, []string{"2a01:4f8::7"}, nil}, v4: fakeAnswer{5 * ms, nil, nil},
			reason: proxy.NotAllowed, text: "an address of this host", took: 5 * ms},
		{name: "this host answers", v4: fakeAnswer{0, []string{four}, nil}, hosts: map[string]fakeHost{four: {self: true}},
			reason: proxy.NotAllowed, text: "8.8.8.8 is not to be reached: this host answers", tries: []string{"0s " + four}},
		{name: "no such name", reason: proxy.NameNotFound, text: "no such host"},
		{name: "resolver fails", v6: fakeAnswer{0, nil, servfail}, v4: fakeAnswer{0, nil, servfail}, reason: proxy.HostUnreachable, text: "misbehaving"},
		{name: "half of the resolver fails", v4: fakeAnswer{0, nil, servfail}, reason: proxy.HostUnreachable, text: "misbehaving"},
		{name: "resolver is silent", v6: fakeAnswer{after: time.Hour}, v4: fakeAnswer{after: time.Hour}, reason: proxy.TimedOut, took: 10 * time.Second},
		{name: "A none, AAAA silent", v6: fakeAnswer{after: time.Hour}, reason: proxy.TimedOut, took: 10 * time.Second},
		{name: "silence", v6: fakeAnswer{0, []string{six}, nil}, v4: fakeAnswer{0, []string{four}, nil}, reason: proxy.TimedOut, text: "dial tcp",
			tries: []string{"0s " + six, "250ms " + four}, took: 10 * time.Second},
		{name: "refused tells more than silence", v6: fakeAnswer{0, []string{six}, nil}, v4: fakeAnswer{0, []string{four}, nil},
			hosts:  map[string]fakeHost{four: down(10*ms, syscall.ECONNREFUSED)},
			reason: proxy.Refused, text: "refused", tries: []string{"0s " + six, "250ms " + four}, took: 10 * time.Second},
		{name: "host tells more than network", v6: fakeAnswer{0, []string{six}, nil}, v4: fakeAnswer{0, []string{four}, nil},
			hosts:  map[string]fakeHost{six: down(1*ms, syscall.ENETUNREACH), four: down(10*ms, syscall.EHOSTUNREACH)},
			reason: proxy.HostUnreachable, tries: []string{"0s " + six, "1ms " + four}, took: 11 * ms},
		{name: "no local port left", v6: fakeAnswer{0, []string{six}, nil}, hosts: map[string]fakeHost{six: down(0, syscall.EADDRNOTAVAIL)},
			reason: proxy.Overloaded, tries: []string{"0s " + six}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := &fakeNet{dns: map[string]fakeAnswer{"ip6": tt.v6, "ip4": tt.v4}, hosts: tt.hosts}
				d := n.dialer(Config{})
				addr, _ := proxy.NameAddr("www.example.com", 443)
				c, err := d.DialStream(t.Context(), addr, []byte("hello"))
				if took := time.Since(n.begun); took != tt.took {
					t.Errorf("took %v, want %v", took, tt.took)
				}
				if !slices.Equal(n.tries, tt.tries) {
					t.Errorf("tried %q, want %q", n.tries, tt.tries)
				}
				if tt.winner != "" {
					if err != nil {
						t.Fatal(err)
					}
					fc := c.(*fakeConn)
					if fc.ip.String() != tt.winner || string(fc.wrote) != "hello" {
						t.Errorf("got %v with %q, want %s with hello", fc.ip, fc.wrote, tt.winner)
					}
					c.Close()
				} else {
					checkError(t, err, tt.reason, tt.text)
				}
				if n.open != 0 {
					t.Errorf("%d connections left open", n.open)
				}
			})
		})
	}
}

func checkError(t *testing.T, err error, reason proxy.Reason, text string) {
	t.Helper()
	var e *proxy.Error
	if !errors.As(err, &e) || e.Reason != reason {
		t.Fatalf("error %v with reason %v, want %v", err, proxy.ReasonOf(err), reason)
	}
	if !strings.Contains(err.Error(), text) {
		t.Errorf("error %q does not say %q", err, text)
	}
}

func TestRaceCancel(t *testing.T) {
	for _, at := range []time.Duration{10 * time.Millisecond, 100 * time.Millisecond} { // while resolving, while connecting
		synctest.Test(t, func(t *testing.T) {
			n := &fakeNet{dns: map[string]fakeAnswer{"ip6": {50 * time.Millisecond, []string{six}, nil}, "ip4": {50 * time.Millisecond, []string{four}, nil}}}
			d := n.dialer(Config{})
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(at, cancel)
			addr, _ := proxy.NameAddr("www.example.com", 443)
			_, err := d.DialStream(ctx, addr, nil)
			checkError(t, err, proxy.Failed, "canceled")
			if !errors.Is(err, context.Canceled) {
				t.Errorf("%v is not context.Canceled", err)
			}
			if took := time.Since(n.begun); took != at {
				t.Errorf("took %v, want %v", took, at)
			}
		})
	}
}

func TestRaceManyAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := fakeAnswer{}
		hosts := map[string]fakeHost{}
		for i := range 100 {
			ip := fmt.Sprintf("8.8.8.%d", i)
			a.addrs = append(a.addrs, ip)
			hosts[ip] = fakeHost{err: syscall.ECONNREFUSED}
		}
		n := &fakeNet{dns: map[string]fakeAnswer{"ip4": a}, hosts: hosts}
		addr, _ := proxy.NameAddr("www.example.com", 443)
		_, err := n.dialer(Config{}).DialStream(t.Context(), addr, nil)
		checkError(t, err, proxy.Refused, "refused")
		if len(n.tries) != maxAttempts {
			t.Errorf("%d attempts, want %d", len(n.tries), maxAttempts)
		}
	})
}

// A name that answers differently the second time gains nothing: there is no
// second time, and what is dialled is what was checked.
func TestRebinding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &fakeNet{dns: map[string]fakeAnswer{"ip6": {0, []string{"::ffff:10.0.0.1", "64:ff9b::7f00:1"}, nil}, "ip4": {0, []string{four}, nil}},
			hosts: map[string]fakeHost{four: {}}}
		addr, _ := proxy.NameAddr("rebind.example", 80)
		c, err := n.dialer(Config{}).DialStream(t.Context(), addr, nil)
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		if want := []string{"0s " + four}; !slices.Equal(n.tries, want) {
			t.Errorf("dialled %q, want %q", n.tries, want)
		}
	})
}

// An address that connected before is judged again like any other.
func TestPolicyEachTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &fakeNet{dns: map[string]fakeAnswer{"ip4": {addrs: []string{four}}}, hosts: map[string]fakeHost{four: {}}}
		d := n.dialer(Config{})
		addr, _ := proxy.NameAddr("www.example.com", 443)
		c, err := d.DialStream(t.Context(), addr, nil)
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		d.host.interfaces = func() ([]netip.Addr, error) { return []netip.Addr{netip.MustParseAddr(four)}, nil }
		time.Sleep(ownFor)
		_, err = d.DialStream(t.Context(), addr, nil)
		checkError(t, err, proxy.NotAllowed, "an address of this host")
		if len(n.tries) != 1 {
			t.Errorf("dialled %q", n.tries)
		}
	})
}
