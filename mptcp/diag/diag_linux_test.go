package diag

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"tributary/mptcp/pm"
)

// inNamespace runs f in a network namespace of its own, on a thread that ends with it.
// Sockets stay where they are made.
func inNamespace(t *testing.T, f func() error) {
	t.Helper()
	done := make(chan error)
	entered := false
	go func() {
		runtime.LockOSThread()
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			entered = true
			err = f()
		}
		done <- err
	}()
	switch err := <-done; {
	case err != nil && !entered && !slices.Contains(strings.Split(os.Getenv("TRIBUTARY_REQUIRE"), ","), "kernel"):
		t.Skip("no namespace: ", err)
	case err != nil:
		t.Fatal(err)
	}
}

// home gives the namespace's loopback two addresses of each family, the second one of
// each a backup for joins, and returns a listener.
func home(family int, first, second string) (net.Listener, *pm.Client, error) {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return nil, nil, err
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return nil, nil, err
	}
	for _, a := range []string{first, second} {
		addr, err := netlink.ParseAddr(a + map[int]string{4: "/32", 6: "/128"}[family])
		if err != nil {
			return nil, nil, err
		}
		addr.Flags = unix.IFA_F_NODAD
		if err := netlink.AddrAdd(lo, addr); err != nil {
			return nil, nil, err
		}
	}
	c, err := pm.New()
	if err != nil {
		return nil, nil, err
	}
	if err := c.SetLimits(pm.Limits{Subflows: 4}); err != nil {
		return nil, nil, err
	}
	if err := c.Add(pm.Endpoint{Addr: netip.MustParseAddr(second), Flags: pm.Subflow | pm.Backup, IfIndex: lo.Attrs().Index}); err != nil {
		return nil, nil, err
	}
	var lc net.ListenConfig
	lc.SetMultipathTCP(true)
	l, err := lc.Listen(context.Background(), fmt.Sprint("tcp", family), net.JoinHostPort(first, "0"))
	return l, c, err
}

// The kernel says which subflow is a backup, on both sides, and nothing of plain TCP.
func TestKernelSubflows(t *testing.T) {
	for _, tt := range []struct {
		family        int
		first, second string
	}{{4, "10.0.0.1", "10.0.0.2"}, {6, "2001:db8::1", "2001:db8::2"}} {
		inNamespace(t, func() error {
			l, c, err := home(tt.family, tt.first, tt.second)
			if err != nil {
				return err
			}
			defer l.Close()
			defer c.Close()
			port := netip.MustParseAddrPort(l.Addr().String()).Port()
			for _, multipath := range []bool{false, true} {
				d := net.Dialer{Timeout: 5 * time.Second, LocalAddr: &net.TCPAddr{IP: net.ParseIP(tt.first)}}
				d.SetMultipathTCP(multipath)
				client, err := d.Dial("tcp", l.Addr().String())
				if err != nil {
					return err
				}
				defer client.Close()
				server, err := l.Accept()
				if err != nil {
					return err
				}
				defer server.Close()
				for _, c := range [][2]net.Conn{{client, server}, {server, client}} {
					if _, err := io.Copy(c[0], bytes.NewReader([]byte("x"))); err != nil {
						return err
					}
					if _, err := c[1].Read(make([]byte, 1)); err != nil {
						return err
					}
				}
			}
			var all map[Pair]Flags
			for end := time.Now().Add(5 * time.Second); len(all) < 2 && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
				if all, err = Subflows(port); err != nil {
					return err
				}
			}
			got := map[string]bool{}
			for p, f := range all {
				if p.Remote.String() != l.Addr().String() {
					t.Errorf("a subflow to %v", p.Remote)
				}
				got[p.Local.Addr().String()] = f.Backup()
			}
			if len(all) != 2 || got[tt.first] || !got[tt.second] {
				t.Errorf("backups %v of %v", got, all)
			}
			if none, err := Subflows(1); err != nil || len(none) > 0 {
				t.Errorf("to port 1: %v, %v", none, err)
			}
			return nil
		})
	}
}

func TestRead(t *testing.T) {
	for n := range messageSize {
		if _, _, err := read(make([]byte, n)); err == nil {
			t.Errorf("%d bytes are an answer", n)
		}
	}
	if _, flags, err := read(make([]byte, messageSize)); err != nil || flags != 0 {
		t.Errorf("without attributes: %v, %v", flags, err)
	}
	if _, _, err := read(append(make([]byte, messageSize), 3, 0, 21, 0)); err == nil {
		t.Error("a cut attribute is one")
	}
}
