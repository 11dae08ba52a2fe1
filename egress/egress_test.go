package egress

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"tributary/proxy"
)

func TestDialLoopback(t *testing.T) {
	var lc net.ListenConfig
	lc.SetMultipathTCP(true) // a server that could, so that not asking shows
	ln, err := lc.Listen(t.Context(), "tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	got := make(chan string, 1)
	go func() {
		c, err := ln.Accept()
		if err != nil {
			got <- err.Error()
			return
		}
		defer c.Close()
		b, _ := io.ReadAll(c)
		c.Write([]byte("bye"))
		got <- string(b)
	}()
	at := ln.Addr().(*net.TCPAddr).AddrPort()

	_, err = New(Config{}).DialStream(t.Context(), proxy.IPAddr(at), []byte("hello"))
	checkError(t, err, proxy.NotAllowed, "127.0.0.1 is not to be reached: loopback")
	mapped := netip.AddrPortFrom(netip.AddrFrom16(at.Addr().As16()), at.Port())
	_, err = New(Config{}).DialStream(t.Context(), proxy.IPAddr(mapped), nil)
	checkError(t, err, proxy.NotAllowed, "127.0.0.1")
	name, _ := proxy.NameAddr("localhost", at.Port())
	_, err = New(Config{}).DialStream(t.Context(), name, nil)
	checkError(t, err, proxy.NotAllowed, "loopback")

	c, err := New(Config{AllowPrivate: true}).DialStream(t.Context(), proxy.IPAddr(at), []byte("hello"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		t.Fatalf("a %T, want *net.TCPConn", c)
	}
	if mp, err := tcp.MultipathTCP(); mp || err != nil {
		t.Errorf("multipath %v, %v, want plain TCP", mp, err)
	}
	c.CloseWrite()
	if s := <-got; s != "hello" {
		t.Errorf("server got %q, want hello", s)
	}
	if b, err := io.ReadAll(c); string(b) != "bye" || err != nil {
		t.Errorf("answer %q, %v, want bye", b, err)
	}
}

func TestDialRefused(t *testing.T) {
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := ln.Addr().(*net.TCPAddr).AddrPort()
	ln.Close()
	d := New(Config{AllowPrivate: true})
	_, err = d.DialStream(t.Context(), proxy.IPAddr(at), nil)
	checkError(t, err, proxy.Refused, "connection refused")
	name, _ := proxy.NameAddr("localhost", at.Port())
	_, err = d.DialStream(t.Context(), name, nil)
	checkError(t, err, proxy.Refused, "connect to localhost:")
}

func TestDialLiteral(t *testing.T) {
	onlyV4 := []string{"5.9.17.33", "fe80::1", "::1"}
	both := []string{"5.9.17.33", "2a01:4f8::7"}
	for _, tt := range []struct {
		name   string
		to     string
		hosts  map[string]fakeHost
		own    []string
		reason proxy.Reason
		text   string
	}{
		{"port 0", "8.8.8.8:0", nil, both, proxy.NotAllowed, "port 0"},
		{"private", "10.0.0.1:80", nil, both, proxy.NotAllowed, "10.0.0.1 is not to be reached: private, RFC 1918"},
		{"own", "5.9.17.33:22", nil, both, proxy.NotAllowed, "an address of this host"},
		{"own by configuration", "9.9.9.9:22", nil, both, proxy.NotAllowed, "an address of this host"},
		{"own in disguise", "[64:ff9b::909:909]:22", nil, both, proxy.NotAllowed, "NAT64 form of 9.9.9.9: an address of this host"},
		{"no IPv6 here", "[2606:4700::1]:80", map[string]fakeHost{six: {err: syscall.ENETUNREACH}}, onlyV4, proxy.AddressUnsupported, "no address of that family"},
		{"no IPv6 in the kernel", "[2606:4700::1]:80", map[string]fakeHost{six: {err: syscall.EAFNOSUPPORT}}, onlyV4, proxy.AddressUnsupported, ""},
		{"no IPv6 address", "[2606:4700::1]:80", map[string]fakeHost{six: {err: syscall.EADDRNOTAVAIL}}, onlyV4, proxy.AddressUnsupported, ""},
		{"no route", "[2606:4700::1]:80", map[string]fakeHost{six: {err: syscall.ENETUNREACH}}, both, proxy.NetworkUnreachable, "unreachable"},
		{"no local port", "8.8.8.8:80", map[string]fakeHost{four: {err: syscall.EADDRNOTAVAIL}}, both, proxy.Overloaded, ""},
		{"no descriptor", "8.8.8.8:80", map[string]fakeHost{four: {err: syscall.EMFILE}}, both, proxy.Overloaded, ""},
		{"firewall", "8.8.8.8:80", map[string]fakeHost{four: {err: syscall.EPERM}}, both, proxy.NotAllowed, ""},
		{"refused", "8.8.8.8:80", map[string]fakeHost{four: {err: syscall.ECONNREFUSED}}, both, proxy.Refused, ""},
		{"host", "8.8.8.8:80", map[string]fakeHost{four: {err: syscall.EHOSTUNREACH}}, both, proxy.HostUnreachable, ""},
		{"silence", "8.8.8.8:80", nil, both, proxy.TimedOut, "8.8.8.8"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := &fakeNet{hosts: tt.hosts}
				d := n.dialer(Config{Own: []netip.Addr{netip.MustParseAddr("::ffff:9.9.9.9")}})
				d.host.interfaces = func() (own []netip.Addr, _ error) {
					for _, s := range tt.own {
						own = append(own, netip.MustParseAddr(s))
					}
					return own, nil
				}
				to, err := proxy.ParseAddr(tt.to)
				if err != nil {
					t.Fatal(err)
				}
				_, err = d.DialStream(t.Context(), to, nil)
				checkError(t, err, tt.reason, tt.text)
				if tt.reason == proxy.NotAllowed && len(tt.hosts) == 0 && len(n.tries) > 0 {
					t.Errorf("dialled %q", n.tries)
				}
			})
		})
	}
	_, err := New(Config{}).DialStream(t.Context(), proxy.Addr{}, nil)
	checkError(t, err, proxy.AddressUnsupported, "no host")
}

// Addresses that the host gains are its own within seconds, and while they cannot
// be found out, nothing is dialled.
func TestOwnAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &fakeNet{}
		d := n.dialer(Config{})
		var fails error
		own, asked := []netip.Addr{}, 0
		d.host.interfaces = func() ([]netip.Addr, error) { asked++; return own, fails }
		ip := netip.MustParseAddr(four)
		for range 100 {
			if err := d.Check(ip); err != nil {
				t.Fatal(err)
			}
		}
		if asked != 1 {
			t.Errorf("asked %d times, want once", asked)
		}
		own = append(own, ip)
		time.Sleep(ownFor)
		checkError(t, d.Check(ip), proxy.NotAllowed, "an address of this host")
		fails = errors.New("no netlink")
		time.Sleep(ownFor)
		checkError(t, d.Check(ip), proxy.Failed, "own addresses: no netlink")
	})
	if own, err := interfaceAddrs(); err != nil || len(own) == 0 {
		t.Errorf("interfaces have %v, %v", own, err)
	}
}

// Early data that the server does not take ends with the connect timeout.
func TestEarlyTimeout(t *testing.T) {
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	d := New(Config{AllowPrivate: true, ConnectTimeout: 100 * time.Millisecond})
	begun := time.Now()
	_, err = d.DialStream(t.Context(), proxy.IPAddr(ln.Addr().(*net.TCPAddr).AddrPort()), make([]byte, 64<<20))
	checkError(t, err, proxy.TimedOut, "write early data")
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
}

// What Close of a loser or of a failed early write does is seen by the fake.
func TestEarlyError(t *testing.T) {
	n := &fakeNet{}
	d := n.dialer(Config{})
	d.dial = func(context.Context, netip.AddrPort) (proxy.Conn, error) {
		n.open++
		return &fakeConn{net: n, writeErr: syscall.ECONNRESET}, nil
	}
	_, err := d.DialStream(t.Context(), proxy.IPAddr(netip.MustParseAddrPort("8.8.8.8:80")), []byte("x"))
	checkError(t, err, proxy.Refused, "write early data")
	if n.open != 0 {
		t.Error("connection left open")
	}
}
