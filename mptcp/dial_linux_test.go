package mptcp

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestDialOnce counts the connects of dials that fail: net.Dialer makes two.
func TestDialOnce(t *testing.T) {
	home := newNamespace(t)
	link(t, "dsl", home, "10.0.1.1/24", newNamespace(t), "")
	dial := func(ctx context.Context, to string) error {
		var err error
		home.do(func() {
			var c *net.TCPConn
			if c, err = (&Dialer{Multipath: true}).Dial(ctx, netip.MustParseAddrPort(to)); err == nil {
				c.Close()
			}
		})
		return err
	}
	before := home.opens(t)
	err := dial(t.Context(), "127.0.0.1:9")
	var op *net.OpError
	if !errors.Is(err, syscall.ECONNREFUSED) || !errors.As(err, &op) || op.Op != "dial" {
		t.Errorf("%v, want a *net.OpError with ECONNREFUSED", err)
	}
	if n := home.opens(t) - before; n != 1 {
		t.Errorf("%d connects to a port that refuses, want 1", n)
	}

	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	err = dial(ctx, "10.0.1.99:9") // nobody answers ARP
	var timeout net.Error
	if !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("%v, want a timeout", err)
	}
	if d := time.Since(start); d > 2*time.Second {
		t.Errorf("gave up after %v", d)
	}
	if n := home.opens(t) - before; n != 2 {
		t.Errorf("%d connects to a host that is silent, want 1", n-1)
	}
	if err := dial(ctx, "127.0.0.1:9"); !errors.Is(err, context.DeadlineExceeded) || home.opens(t)-before != 2 {
		t.Errorf("dial after the deadline: %v", err)
	}
	if err := dial(t.Context(), "192.0.2.1:9"); !errors.Is(err, syscall.ENETUNREACH) {
		t.Errorf("%v, want ENETUNREACH", err)
	}
}

func TestDialOptions(t *testing.T) {
	home := newNamespace(t)
	for _, l := range []*net.TCPListener{home.listen(t, "127.0.0.1:0", true), home.listen(t, "[::1]:0", true)} {
		to := unmap(l.Addr())
		local := netip.MustParseAddr("127.0.0.5")
		if to.Addr().Is6() {
			local = netip.MustParseAddr("::1")
		}
		for _, multipath := range []bool{true, false} {
			d := Dialer{
				Multipath: multipath, Local: local, Device: "lo", Mark: 77, KeepAlive: 30 * time.Second,
				Control: func(fd uintptr) error {
					return unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PRIORITY, 6)
				},
			}
			client, server := pair(t, home, d, l, to.Addr().String())
			if IsMultipath(client) != multipath || IsMultipath(server) != multipath {
				t.Errorf("multipath %v %v, want %v", IsMultipath(client), IsMultipath(server), multipath)
			}
			if got := unmap(server.RemoteAddr()).Addr(); got != local {
				t.Errorf("from %v, want %v", got, local)
			}
			wantOptions(t, client, map[[2]int]int{
				{unix.SOL_SOCKET, unix.SO_MARK}: 77, {unix.SOL_SOCKET, unix.SO_PRIORITY}: 6, {unix.SOL_TCP, unix.TCP_NODELAY}: 1,
				{unix.SOL_SOCKET, unix.SO_KEEPALIVE}: 1, {unix.SOL_TCP, unix.TCP_KEEPIDLE}: 30,
				{unix.SOL_TCP, unix.TCP_KEEPINTVL}: 15, {unix.SOL_TCP, unix.TCP_KEEPCNT}: 4,
			})
			wantOptions(t, server, map[[2]int]int{
				{unix.SOL_TCP, unix.TCP_NODELAY}: 1, {unix.SOL_SOCKET, unix.SO_KEEPALIVE}: 1, {unix.SOL_TCP, unix.TCP_KEEPIDLE}: int(PatientKeepAlive.Seconds()),
			})
			if err := SetKeepAlive(client, -1); err != nil {
				t.Error(err)
			}
			wantOptions(t, client, map[[2]int]int{{unix.SOL_SOCKET, unix.SO_KEEPALIVE}: 0})
		}
	}
}

func wantOptions(t *testing.T, c *net.TCPConn, want map[[2]int]int) {
	t.Helper()
	with(c, func(fd int) error {
		for opt, v := range want {
			if got, err := unix.GetsockoptInt(fd, opt[0], opt[1]); err != nil || got != v {
				t.Errorf("option %v is %d, %v, want %d", opt, got, err, v)
			}
		}
		return nil
	})
}

// TestControlError sees that a failing option is an error, not plain TCP.
func TestControlError(t *testing.T) {
	home := newNamespace(t)
	fail := func(uintptr) error { return unix.ENOPROTOOPT }
	for _, multipath := range []bool{true, false} {
		home.do(func() {
			if l, err := Listen(t.Context(), "tcp", "127.0.0.1:0", multipath, fail); !errors.Is(err, unix.ENOPROTOOPT) {
				t.Errorf("listen: %v, %v", l, err)
			}
			d := Dialer{Multipath: multipath, Control: fail}
			if c, err := d.Dial(t.Context(), netip.MustParseAddrPort("127.0.0.1:9")); !errors.Is(err, unix.ENOPROTOOPT) {
				t.Errorf("dial: %v, %v", c, err)
			}
			d = Dialer{Multipath: multipath, Device: "nonesuch"}
			if c, err := d.Dial(t.Context(), netip.MustParseAddrPort("127.0.0.1:9")); !errors.Is(err, unix.ENODEV) {
				t.Errorf("device: %v, %v", c, err)
			}
			d = Dialer{Multipath: multipath, Local: netip.MustParseAddr("192.0.2.1")}
			if c, err := d.Dial(t.Context(), netip.MustParseAddrPort("127.0.0.1:9")); !errors.Is(err, unix.EADDRNOTAVAIL) {
				t.Errorf("local: %v, %v", c, err)
			}
		})
	}
}

func TestCongestion(t *testing.T) {
	home := newNamespace(t)
	client, _ := pair(t, home, Dialer{Multipath: true}, home.listen(t, "127.0.0.1:0", true), "127.0.0.1")
	for _, name := range []string{"reno", "cubic"} {
		if err := SetCongestion(client, name); err != nil {
			t.Fatal(err)
		}
		if got, err := Congestion(client); err != nil || got != name {
			t.Errorf("congestion control %q, %v, want %q", got, err, name)
		}
	}
	if err := SetCongestion(client, "nonesuch"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v, want os.ErrNotExist", err)
	}
}

// TestNewCongestion sees that both ends of a connection get what is wanted, whatever
// the host's default is, and that another choice is told with its reason.
func TestNewCongestion(t *testing.T) {
	home := newNamespace(t)
	home.sysctl(t, "ipv4/tcp_congestion_control", "reno")
	var want string
	var err error
	home.do(func() { want, err = NewCongestion() })
	var e *CongestionError
	switch {
	case errors.As(err, &e) && errors.Is(err, os.ErrNotExist):
		if want != "reno" || e.InUse != want || e.Hint() == "" {
			t.Errorf("%q, %v, hint %q", want, err, e.Hint())
		}
	case err != nil || want != wantedCongestion:
		t.Fatalf("%q, %v", want, err)
	}
	listener := home.listen(t, "127.0.0.1:0", true)
	for _, multipath := range []bool{true, false} {
		client, server := pair(t, home, Dialer{Multipath: multipath}, listener, "127.0.0.1")
		if got, err := Congestion(server); err != nil || got != want {
			t.Errorf("accepted with %q, %v, want %q", got, err, want)
		}
		if got, err := Congestion(client); err != nil || (got == want) != (multipath || want == "reno") {
			t.Errorf("dialled with %q, %v, multipath %v", got, err, multipath)
		}
	}
}

// TestListen sees that a listener is of the protocol asked for, in spite of the
// standard library's own default, and takes plain TCP in both cases.
func TestListen(t *testing.T) {
	home := newNamespace(t)
	for _, multipath := range []bool{true, false} {
		want := map[bool]int{true: unix.IPPROTO_MPTCP, false: unix.IPPROTO_TCP}[multipath]
		var l *net.TCPListener
		home.must(t, func() (err error) {
			l, err = Listen(t.Context(), "tcp", "127.0.0.1:0", multipath, func(fd uintptr) error {
				if got, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PROTOCOL); err != nil || got != want {
					t.Errorf("protocol %d, %v, want %d", got, err, want)
				}
				return unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
			})
			return err
		})
		defer l.Close()
		if _, server := pair(t, home, Dialer{}, l, "127.0.0.1"); IsMultipath(server) {
			t.Error("a plain client became multipath")
		}
		if _, server := pair(t, home, Dialer{Multipath: true}, l, "127.0.0.1"); IsMultipath(server) != multipath {
			t.Errorf("a multipath client on a listener with multipath %v", multipath)
		}
	}
	if l, err := Listen(t.Context(), "unix", "", true, nil); err == nil {
		t.Errorf("listens at %v", l.Addr())
	}
}

// TestDialAddresses dials what cannot be dialled, and IPv4 by MPTCP where the
// host has switched IPv6 off.
func TestDialAddresses(t *testing.T) {
	home := newNamespace(t)
	for _, multipath := range []bool{true, false} {
		for to, local := range map[string]string{"127.0.0.1:9": "::1", "[::1]:9": "127.0.0.1"} {
			d := Dialer{Multipath: multipath, Local: netip.MustParseAddr(local)}
			if c, err := d.Dial(t.Context(), netip.MustParseAddrPort(to)); err == nil {
				t.Errorf("dialled %v to %v", c.LocalAddr(), to)
			}
		}
		d := Dialer{Multipath: multipath}
		if c, err := d.Dial(t.Context(), netip.AddrPort{}); err == nil {
			t.Errorf("dialled %v", c.RemoteAddr())
		}
	}
	for _, name := range []string{"all", "lo"} {
		home.sysctl(t, "ipv6/conf/"+name+"/disable_ipv6", "1")
	}
	client, _ := pair(t, home, Dialer{Multipath: true}, home.listen(t, "127.0.0.1:0", true), "127.0.0.1")
	if !IsMultipath(client) {
		t.Error("not multipath")
	}
}
