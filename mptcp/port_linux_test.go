package mptcp

import (
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tributary/mptcp/pm"
)

// TestPorts has new connections begin at an address from which the path manager has
// joined another one: the kernel gives none of them the subflow's port as long as both
// are bound to the interface. Where the new one is not (measured on Linux 6.18) its SYN
// looks to the server like a broken packet of the subflow, which is reset.
func TestPorts(t *testing.T) {
	home, far := newNamespace(t), newNamespace(t)
	link(t, "dsl", home, "10.0.1.1/24 10.0.1.3/24", far, "10.0.1.2/24")
	home.sysctl(t, "ipv4/ip_local_port_range", "40000 40001")
	joined := netip.MustParseAddr("10.0.1.3")
	var path *pm.Client
	home.must(t, func() (err error) {
		if path, err = pm.New(); err != nil {
			return err
		}
		dsl, err := net.InterfaceByName("dsl")
		if err != nil {
			return err
		}
		return path.Add(pm.Endpoint{Addr: joined, Flags: pm.Subflow, IfIndex: dsl.Index})
	})
	defer path.Close()
	l := far.listen(t, ":0", true)
	client, _ := pair(t, home, Dialer{Multipath: true, Local: netip.MustParseAddr("10.0.1.1")}, l, "10.0.1.2")
	whole := func() bool {
		full := mustFull(t, client)
		return len(full.Subflows) == 2 && full.Subflows[1].State == Established
	}
	eventually(t, "two subflows", whole)
	taken := mustFull(t, client).Subflows[1].Local
	to := netip.AddrPortFrom(netip.MustParseAddr("10.0.1.2"), l.Addr().(*net.TCPAddr).AddrPort().Port())
	for n := range 2 {
		var c *net.TCPConn
		var err error
		home.do(func() { c, err = (&Dialer{Local: joined, Device: "dsl"}).Dial(t.Context(), to) })
		switch {
		case err == nil:
			defer c.Close()
			if local := c.LocalAddr().(*net.TCPAddr).AddrPort(); local == taken {
				t.Errorf("connection %d has the port of a subflow: %v", n, local)
			}
		case n == 0 || !errors.Is(err, unix.EADDRNOTAVAIL):
			t.Fatalf("connection %d: %v", n, err)
		}
	}
	time.Sleep(100 * time.Millisecond)
	if !whole() {
		t.Errorf("the subflow has gone: %+v", mustFull(t, client).Subflows)
	}
}
