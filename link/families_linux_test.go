package link

import (
	"context"
	"io"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"tributary/mptcp/pm"
)

// aRelay gives the far namespace a public address of each family, an MPTCP echo server
// at both and a relay's manager, which announces them.
func (f *far) aRelay(t *testing.T) {
	t.Helper()
	must(t, f.h.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "wan"}, PeerName: "beyond"}))
	beyond, err := f.h.LinkByName("beyond")
	must(t, err)
	must(t, f.h.LinkSetUp(beyond))
	wan, err := f.h.LinkByName("wan")
	must(t, err)
	must(t, f.h.LinkSetUp(wan))
	for _, a := range []struct{ own, via string }{{"198.51.100.1/24", "198.51.100.254"}, {"2001:db8:ff::1/64", "2001:db8:ff::fe"}} {
		must(t, f.h.AddrAdd(wan, parseAddr(t, a.own)))
		via := netip.MustParseAddr(a.via)
		must(t, f.h.RouteAdd(&netlink.Route{LinkIndex: wan.Attrs().Index, Gw: via.AsSlice(), Family: family(via.AsSlice())}))
	}
	var l net.Listener
	var m *Manager
	f.do(t, func() (err error) {
		if m, err = New(Config{Relay: true, Announce: true, StateDir: t.TempDir()}); err != nil {
			return err
		}
		lc := net.ListenConfig{}
		lc.SetMultipathTCP(true)
		l, err = lc.Listen(context.Background(), "tcp", "[::]:7")
		return err
	})
	stop := serve(t, m)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { defer c.Close(); io.Copy(c, c) }()
		}
	}()
	t.Cleanup(func() { l.Close(); stop() })
}

// dialMapped connects by an IPv6 socket, which alone takes subflows of both families.
func dialMapped(t *testing.T, from, to string) net.Conn {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, unix.IPPROTO_MPTCP)
	must(t, err)
	must(t, unix.Bind(fd, &unix.SockaddrInet6{Addr: netip.MustParseAddr(from).As16()}))
	must(t, unix.Connect(fd, &unix.SockaddrInet6{Port: 7, Addr: netip.MustParseAddr(to).As16()}))
	file := os.NewFile(uintptr(fd), "tcp")
	defer file.Close()
	c, err := net.FileConn(file)
	must(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

// TestKernelFamilies has a link without IPv6 and one without IPv4 in one connection, in
// whichever family it began, and loses the one where it began.
func TestKernelFamilies(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	f := newFar(t)
	f.wire(t, "dsl", 100, "10.0.1.2/24", "10.0.1.1/24")
	f.wire(t, "lte", 700, "2001:db8:2::2/64", "2001:db8:2::1/64")
	f.aRelay(t)
	m, err := New(Config{StateDir: t.TempDir()})
	must(t, err)
	stop := serve(t, m)
	if got := states(m.Links()); got != "dsl up\nlte up" {
		t.Fatal(got)
	}
	ev, err := pm.Subscribe()
	must(t, err)
	defer ev.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	until := func(kind pm.Kind, from string) {
		t.Helper()
		begin := time.Now()
		for {
			e, err := ev.Next(ctx)
			if err != nil {
				t.Fatalf("%v from %s: %v", kind, from, err)
			}
			if e.Kind == kind && e.Local.Addr().Unmap() == netip.MustParseAddr(from) {
				t.Logf("%v from %s after %v", kind, from, time.Since(begin))
				return
			}
		}
	}
	c := dialMapped(t, "::ffff:10.0.1.2", "::ffff:198.51.100.1")
	must(t, c.SetDeadline(time.Now().Add(15*time.Second)))
	ping := func(what string) {
		t.Helper()
		_, err := c.Write([]byte(what))
		must(t, err)
		b := make([]byte, len(what))
		if _, err := io.ReadFull(c, b); err != nil || string(b) != what {
			t.Fatalf("%s: %q, %v", what, b, err)
		}
	}
	ping("hello")
	until(pm.SubflowEstablished, "2001:db8:2::2")
	ping("over both")
	dsl, err := f.h.LinkByName("pdsl")
	must(t, err)
	must(t, f.h.LinkSetDown(dsl))
	until(pm.SubflowClosed, "10.0.1.2")
	ping("over IPv6 alone")
	must(t, f.h.LinkSetUp(dsl))
	until(pm.SubflowEstablished, "10.0.1.2")
	ping("over both again")
	lte, err := f.h.LinkByName("plte")
	must(t, err)
	must(t, f.h.LinkSetDown(lte))
	until(pm.SubflowClosed, "2001:db8:2::2")
	ping("over IPv4 alone")
	c.Close()
	must(t, f.h.LinkSetUp(lte))
	within(t, 5*time.Second, "LTE is back", func() bool { return states(m.Links()) == "dsl up\nlte up" })
	stop()
	if got := endpoints(t); len(got) != 0 {
		t.Errorf("endpoints are left: %q", got)
	}
}
