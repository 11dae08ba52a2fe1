package diag

import (
	"io"
	"net"
	"net/netip"
	"testing"
	"time"
)

// A connection lives on when one of its subflows is ended, and another pair ends nothing.
func TestKernelEnd(t *testing.T) {
	for _, tt := range []struct {
		family        int
		first, second string
		joined        bool // it is to be the one that was, and is bound to an interface
	}{
		{4, "10.0.0.1", "10.0.0.2", false}, {6, "2001:db8::1", "2001:db8::2", false},
		{4, "10.0.0.1", "10.0.0.2", true}, {6, "2001:db8::1", "2001:db8::2", true},
	} {
		inNamespace(t, func() error {
			l, c, err := home(tt.family, tt.first, tt.second)
			if err != nil {
				return err
			}
			defer l.Close()
			defer c.Close()
			d := net.Dialer{Timeout: 5 * time.Second, LocalAddr: &net.TCPAddr{IP: net.ParseIP(tt.first)}}
			d.SetMultipathTCP(true)
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
			pass := func() error {
				for _, c := range [][2]net.Conn{{client, server}, {server, client}} {
					c[1].SetReadDeadline(time.Now().Add(5 * time.Second))
					if _, err := io.WriteString(c[0], "x"); err != nil {
						return err
					}
					if _, err := io.ReadFull(c[1], make([]byte, 1)); err != nil {
						return err
					}
				}
				return nil
			}
			has := func(n int) (all map[Pair]Flags, err error) {
				for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
					if all, err = Subflows(netip.MustParseAddrPort(l.Addr().String()).Port()); err != nil || len(all) == n {
						break
					}
				}
				if len(all) != n {
					t.Errorf("%d subflows, want %d", len(all), n)
				}
				return all, err
			}
			if err := pass(); err != nil {
				return err
			}
			all, err := has(2)
			if err != nil {
				return err
			}
			var other Pair
			for p := range all {
				if (p.Local.Addr().String() == tt.first) == tt.joined {
					continue
				}
				other = Pair{p.Local, netip.AddrPortFrom(p.Remote.Addr(), 1)}
				if err := End(p); err != nil {
					return err
				}
			}
			if _, err := has(1); err != nil {
				return err
			}
			if End(other) == nil {
				t.Error("ended what is not there")
			}
			return pass()
		})
	}
}
