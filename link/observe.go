package link

import "net/netip"

// observed is everything a plan is made from, and what is to be compared with
// it: one look at the kernel.
type observed struct {
	devices   []device
	defaults  []nextHop    // default routes of the main table
	rules     []rule       // that carry our protocol number
	routes    []route      // that carry our protocol number
	foreign   map[int]bool // tables like ours that hold routes of others
	endpoints []endpoint
	taken     []netip.Addr // that others had made endpoints of, as the journal says
	limits    limits
	base      limits            // limits before we touched them
	sysctls   map[string]string // by path below /proc/sys; what the kernel lacks is missing
}

// A device is a network interface.
type device struct {
	index    int
	name     string
	up       bool // switched on
	carrier  bool // and something is at the other end
	loopback bool
	tunnel   bool // its packets leave by another device
	addrs    []address
}

// An address is one that may be used as a source towards the Internet.
type address struct {
	addr       netip.Addr
	net        netip.Prefix // reached without a gateway; the peer on a point-to-point link
	secondary  bool
	temporary  bool // RFC 8981
	deprecated bool
}

// A nextHop is a default route: by which device, to which gateway. Without a
// gateway everything is on the link, as on PPP.
type nextHop struct {
	index   int
	ipv6    bool // the family of the route; an IPv4 route may have an IPv6 gateway
	gateway netip.Addr
	onlink  bool // gateway is outside the link's prefix, and the kernel is not to mind
	metric  int
}

func (o *observed) device(name string) *device {
	for i := range o.devices {
		if o.devices[i].name == name {
			return &o.devices[i]
		}
	}
	return nil
}

// hop returns the default route of a family by a device with the least metric.
func (o *observed) hop(index int, ipv6 bool) (best nextHop, found bool) {
	for _, h := range o.defaults {
		if h.index == index && h.ipv6 == ipv6 && (!found || h.metric < best.metric) {
			best, found = h, true
		}
	}
	return best, found
}

// source chooses the one address of a family by which a device is to be used: a
// stable, global, not deprecated one, and of several as good the one that was used
// before, if it is still there. So the choice does not depend on the order in which the
// kernel lists them, which changes with each renewal and would move connections for
// nothing.
func (d *device) source(ipv6 bool, before netip.Addr) (best address, found bool) {
	for _, a := range d.addrs {
		if a.addr.Is6() != ipv6 {
			continue
		}
		if !found || a.rank() < best.rank() || a.rank() == best.rank() && best.addr != before && (a.addr == before || a.addr.Less(best.addr)) {
			best, found = a, true
		}
	}
	return best, found
}

// rank is the less the better an address is.
func (a address) rank() (n int) {
	for i, bad := range []bool{a.temporary, a.secondary, a.addr.Is6() && a.addr.IsPrivate(), a.deprecated} {
		if bad {
			n += 1 << i
		}
	}
	return n
}
