package link

import (
	"context"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"tributary/mptcp/pm"
)

// echo starts an MPTCP server in the far namespace, at an address behind both links.
func (f *far) echo(t *testing.T) string {
	t.Helper()
	lo, err := f.h.LinkByName("lo")
	must(t, err)
	must(t, f.h.AddrAdd(lo, parseAddr(t, "198.51.100.1/32")))
	var l net.Listener
	f.do(t, func() (err error) {
		c, err := pm.New()
		if err != nil {
			return err
		}
		defer c.Close()
		if err := c.SetLimits(pm.Limits{Subflows: 8}); err != nil {
			return err
		}
		lc := net.ListenConfig{}
		lc.SetMultipathTCP(true)
		l, err = lc.Listen(context.Background(), "tcp4", "198.51.100.1:7")
		return err
	})
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { defer c.Close(); io.Copy(c, c) }()
		}
	}()
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}

// TestKernelHandover keeps one connection through the loss of either link. The one on which
// it began goes by the same step: deleting its endpoint closes the first subflow too.
func TestKernelHandover(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	f := twoLinks(t)
	server := f.echo(t)
	m, err := New(Config{StateDir: t.TempDir()})
	must(t, err)
	defer serve(t, m)()
	ev, err := pm.Subscribe()
	must(t, err)
	defer ev.Close()

	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(10, 0, 1, 2)}}
	d.SetMultipathTCP(true)
	conn, err := d.DialContext(ctx, "tcp4", server)
	must(t, err)
	defer conn.Close()
	must(t, conn.SetDeadline(time.Now().Add(20*time.Second)))
	ping := func(what string) {
		t.Helper()
		begin := time.Now()
		_, err := conn.Write([]byte(what))
		must(t, err)
		if b := make([]byte, len(what)); true {
			if _, err := io.ReadFull(conn, b); err != nil || string(b) != what {
				t.Fatalf("%s: %q, %v", what, b, err)
			}
		}
		t.Logf("%s: echo after %v", what, time.Since(begin))
	}
	// until waits for an event of the subflow that leaves from an address.
	until := func(kind pm.Kind, from string) time.Duration {
		t.Helper()
		begin := time.Now()
		for {
			e, err := ev.Next(ctx)
			if err != nil {
				t.Fatalf("%v from %s: %v", kind, from, err)
			}
			if e.Kind == kind && e.Local.Addr() == netip.MustParseAddr(from) {
				return time.Since(begin)
			}
		}
	}
	ping("hello")
	until(pm.SubflowEstablished, "10.0.2.2")
	for _, l := range []struct{ dev, addr string }{{"lte", "10.0.2.2"}, {"dsl", "10.0.1.2"}} {
		peer, err := f.h.LinkByName("p" + l.dev)
		must(t, err)
		must(t, f.h.LinkSetDown(peer))
		t.Logf("%s lost: subflow closed after %v", l.dev, until(pm.SubflowClosed, l.addr))
		ping("without " + l.dev)
		must(t, f.h.LinkSetUp(peer))
		t.Logf("%s back: subflow joined after %v", l.dev, until(pm.SubflowEstablished, l.addr))
		ping("with both")
	}
	must(t, netlink.LinkSetDown(mustLink(t, "dsl")))
	t.Logf("dsl switched off: subflow closed after %v", until(pm.SubflowClosed, "10.0.1.2"))
	ping("without dsl")
}
