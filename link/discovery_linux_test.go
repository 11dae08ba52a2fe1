package link

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// follows starts a manager that finds links by itself, and returns what waits until
// its endpoints are these, as "ADDRESS DEVICE".
func follows(t *testing.T) (m *Manager, want func(what string, all ...string)) {
	t.Helper()
	m, err := New(Config{StateDir: t.TempDir()})
	must(t, err)
	stop := serve(t, m)
	t.Cleanup(stop)
	return m, func(what string, all ...string) {
		t.Helper()
		slices.Sort(all)
		var got []string
		for end := time.Now().Add(3 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			got = nil
			links, err := netlink.LinkList()
			must(t, err)
			for _, e := range endpoints(t) {
				var addr, flags string
				var index int
				fmt.Sscan(e, &addr, &index, &flags)
				for _, l := range links {
					if l.Attrs().Index == index {
						got = append(got, addr+" "+l.Attrs().Name)
					}
				}
			}
			slices.Sort(got)
			if slices.Equal(got, all) {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("%s: endpoints %q, want %q; links\n%s", what, got, all, states(m.Links()))
			}
		}
		if ok, why := m.Managing(); !ok || why != "" {
			t.Errorf("%s: managing %v %q", what, ok, why)
		}
	}
}

// leaves sees by which device a packet from an address leaves.
func leaves(t *testing.T, from, to, dev string) {
	t.Helper()
	got, err := netlink.RouteGetWithOptions(netip.MustParseAddr(to).AsSlice(), &netlink.RouteGetOptions{SrcAddr: netip.MustParseAddr(from).AsSlice()})
	must(t, err)
	if got[0].LinkIndex != mustLink(t, dev).Attrs().Index {
		t.Errorf("%s from %s leaves by %d, not %s", to, from, got[0].LinkIndex, dev)
	}
}

// TestKernelSameNetwork has two routers that give out the same network, as two boxes of
// one maker do.
func TestKernelSameNetwork(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	f := newFar(t)
	f.wire(t, "dsl", 100, "192.168.1.100/24", "192.168.1.1/24")
	f.wire(t, "lte", 700)
	far, err := f.h.LinkByName("plte")
	must(t, err)
	must(t, f.h.AddrAdd(far, parseAddr(t, "192.168.1.2/24"))) // 192.168.1.1 in its own house
	_, want := follows(t)
	want("one link", "192.168.1.100 dsl")
	must(t, netlink.AddrAdd(mustLink(t, "lte"), parseAddr(t, "192.168.1.101/24")))
	must(t, netlink.RouteAdd(defaultRoute(t, "lte", netip.MustParseAddr("192.168.1.1").AsSlice(), 700)))
	want("the same network", "192.168.1.100 dsl", "192.168.1.101 lte")
	leaves(t, "192.168.1.100", "198.51.100.1", "dsl")
	leaves(t, "192.168.1.101", "198.51.100.1", "lte")
}

// TestKernelSameAddress has both give out the same address: one link has it, and the
// other one says why it is not used, until the first goes.
func TestKernelSameAddress(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	f := newFar(t)
	f.wire(t, "dsl", 100, "192.168.1.100/24", "192.168.1.1/24")
	f.wire(t, "lte", 700)
	must(t, netlink.AddrAdd(mustLink(t, "lte"), parseAddr(t, "192.168.1.100/24")))
	must(t, netlink.RouteAdd(defaultRoute(t, "lte", netip.MustParseAddr("192.168.1.1").AsSlice(), 700)))
	m, want := follows(t)
	want("the same address", "192.168.1.100 dsl")
	if got := states(m.Links()); got != "dsl up\nlte no-address (192.168.1.100 is also the address of dsl, so it cannot be used here)" {
		t.Error(got)
	}
	peer, err := f.h.LinkByName("pdsl")
	must(t, err)
	must(t, f.h.LinkSetDown(peer))
	want("the first is unplugged", "192.168.1.100 lte")
	leaves(t, "192.168.1.100", "198.51.100.1", "lte")
	must(t, f.h.LinkSetUp(peer))
	want("and back", "192.168.1.100 dsl")
}

// TestKernelRenamed renames an interface and gives it another address, as at a DHCP
// server's whim.
func TestKernelRenamed(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	twoLinks(t)
	m, want := follows(t)
	want("at first", "10.0.1.2 dsl", "2001:db8:1::2 dsl", "10.0.2.2 lte")
	lte := mustLink(t, "lte")
	must(t, netlink.LinkSetName(lte, "wwan0"))
	want("renamed", "10.0.1.2 dsl", "2001:db8:1::2 dsl", "10.0.2.2 wwan0")
	within(t, 2*time.Second, "renamed for people", func() bool { return states(m.Links()) == "dsl up\nwwan0 up" })
	must(t, netlink.AddrDel(lte, parseAddr(t, "10.0.2.2/30")))
	must(t, netlink.AddrAdd(lte, parseAddr(t, "10.9.9.9/24")))
	must(t, netlink.RouteReplace(defaultRoute(t, "wwan0", netip.MustParseAddr("10.9.9.1").AsSlice(), 700)))
	want("another address", "10.0.1.2 dsl", "2001:db8:1::2 dsl", "10.9.9.9 wwan0")
	leaves(t, "10.9.9.9", "198.51.100.1", "wwan0")
	// A second address beside it changes nothing; it serves when the first has gone.
	must(t, netlink.AddrAdd(lte, parseAddr(t, "10.9.9.10/24")))
	time.Sleep(100 * time.Millisecond)
	want("a second address", "10.0.1.2 dsl", "2001:db8:1::2 dsl", "10.9.9.9 wwan0")
}

// TestKernelPointToPoint has a line without network and gateway, as PPP leaves it, which
// is made anew with another number each time it is dialled.
func TestKernelPointToPoint(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	f := newFar(t)
	f.wire(t, "dsl", 100, "10.0.1.2/24", "10.0.1.1/24")
	_, want := follows(t)
	want("alone", "10.0.1.2 dsl")
	for i, own := range []string{"100.64.0.7", "100.64.0.8"} {
		f.wire(t, "ppp0", 0)
		ppp := mustLink(t, "ppp0")
		must(t, netlink.AddrAdd(ppp, &netlink.Addr{IPNet: netlink.NewIPNet(netip.MustParseAddr(own).AsSlice()), Peer: netlink.NewIPNet(netip.MustParseAddr("100.64.0.1").AsSlice())}))
		must(t, netlink.RouteAdd(&netlink.Route{LinkIndex: ppp.Attrs().Index, Dst: everything, Scope: netlink.SCOPE_LINK, Priority: 700, Family: netlink.FAMILY_V4}))
		want(fmt.Sprint("dialled ", i), "10.0.1.2 dsl", own+" ppp0")
		leaves(t, own, "198.51.100.1", "ppp0")
		must(t, netlink.LinkDel(ppp))
		want("hung up", "10.0.1.2 dsl")
	}
}

// TestKernelIPv6Renumbered follows a router that announces another network: addresses
// become deprecated before they go, and privacy addresses are not chosen.
func TestKernelIPv6Renumbered(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	f := newFar(t)
	f.wire(t, "dsl", 100, "2001:db8:1::2/64", "2001:db8:1::1/64")
	f.wire(t, "lte", 700, "2001:db8:2::2/64", "2001:db8:2::1/64")
	m, want := follows(t)
	want("IPv6 alone", "2001:db8:1::2 dsl", "2001:db8:2::2 lte")
	if got := states(m.Links()); got != "dsl up\nlte up" {
		t.Error(got)
	}
	dsl := mustLink(t, "dsl")
	for _, more := range []string{"2001:db8:7::2/64", "2001:db8:0::2/64"} {
		must(t, netlink.AddrAdd(dsl, parseAddr(t, more)))
		time.Sleep(100 * time.Millisecond)
		want("another network", "2001:db8:1::2 dsl", "2001:db8:2::2 lte")
	}
	must(t, netlink.AddrDel(dsl, parseAddr(t, "2001:db8:0::2/64")))
	old := parseAddr(t, "2001:db8:1::2/64")
	old.ValidLft, old.PreferedLft = 3600, 0
	must(t, netlink.AddrReplace(dsl, old))
	want("the first is deprecated", "2001:db8:7::2 dsl", "2001:db8:2::2 lte")
	leaves(t, "2001:db8:7::2", "2001:db8:ff::1", "dsl")
	must(t, netlink.AddrDel(dsl, parseAddr(t, "2001:db8:1::2/64")))
	want("and gone", "2001:db8:7::2 dsl", "2001:db8:2::2 lte")
	// The route by the router's link-local address, as an announcement makes it.
	must(t, netlink.RouteDel(defaultRoute(t, "lte", netip.MustParseAddr("2001:db8:2::1").AsSlice(), 700)))
	want("the router has left", "2001:db8:7::2 dsl")
	via := defaultRoute(t, "lte", netip.MustParseAddr("fe80::1").AsSlice(), 1024)
	via.Protocol = unix.RTPROT_RA
	must(t, netlink.RouteAdd(via))
	want("and is back", "2001:db8:7::2 dsl", "2001:db8:2::2 lte")
}

// TestKernelTunnel sees that a tunnel with the best default route is no link.
func TestKernelTunnel(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	twoLinks(t)
	_, want := follows(t)
	want("at first", "10.0.1.2 dsl", "2001:db8:1::2 dsl", "10.0.2.2 lte")
	tunnel := &netlink.Iptun{LinkAttrs: netlink.LinkAttrs{Name: "vpn"}, Local: netip.MustParseAddr("10.0.1.2").AsSlice(), Remote: netip.MustParseAddr("198.51.100.9").AsSlice()}
	if err := netlink.LinkAdd(tunnel); err != nil {
		t.Skipf("this kernel makes no tunnels: %v", err)
	}
	vpn := mustLink(t, "vpn")
	must(t, netlink.LinkSetUp(vpn))
	must(t, netlink.AddrAdd(vpn, parseAddr(t, "10.8.0.2/24")))
	must(t, netlink.RouteAdd(&netlink.Route{LinkIndex: vpn.Attrs().Index, Dst: everything, Scope: netlink.SCOPE_LINK, Priority: 1, Family: netlink.FAMILY_V4}))
	time.Sleep(200 * time.Millisecond)
	want("beside a tunnel", "10.0.1.2 dsl", "2001:db8:1::2 dsl", "10.0.2.2 lte")
}

// everything is the destination of a default route without a gateway.
var everything = &net.IPNet{IP: net.IPv4zero.To4(), Mask: net.CIDRMask(0, 32)}
