package link

import (
	"maps"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// refresh has the next look list the routes anew.
func (l *linux) refresh() { l.stale.Store(true) }

// knownRoutes returns the routes as they were listed last. To list them takes seconds
// where the main table has those of the whole Internet, since the kernel cannot leave
// out what is no default route; a failover does not wait for that.
func (l *linux) knownRoutes(o *observed) error {
	if l.stale.Swap(false) || l.seen == nil {
		seen := &observed{foreign: map[int]bool{}}
		l.seen = nil
		if err := l.observeRoutes(seen); err != nil {
			return err
		}
		l.seen = seen
	}
	o.routes, o.defaults, o.foreign = slices.Clone(l.seen.routes), slices.Clone(l.seen.defaults), maps.Clone(l.seen.foreign)
	return nil
}

func (l *linux) observeRoutes(o *observed) error {
	routes, err := whole(func() (all []netlink.Route, err error) {
		// Without this filter only the main table is listed.
		every := &netlink.Route{Table: unix.RT_TABLE_UNSPEC}
		err = l.route.RouteListFilteredIter(netlink.FAMILY_ALL, every, netlink.RT_FILTER_TABLE, func(r netlink.Route) bool {
			if r.Table > TableBase || r.Table == mainTable && bits(r) == 0 {
				all = append(all, r)
			}
			return true
		})
		return all, err
	})
	if err != nil {
		return err
	}
	for _, r := range routes {
		switch {
		case r.Family != netlink.FAMILY_V4 && r.Family != netlink.FAMILY_V6:
		case r.Table > TableBase && r.Protocol == Protocol:
			via := gateway(r.Gw, r.Via)
			o.routes = append(o.routes, route{table: r.Table, dst: destination(r), via: via, index: r.LinkIndex, onlink: onlink(r.Flags, via)})
		case r.Table > TableBase:
			o.foreign[r.Table] = true
		case r.Type == unix.RTN_UNICAST:
			o.defaults = append(o.defaults, hops(r)...)
		}
	}
	return nil
}

func hops(r netlink.Route) (hops []nextHop) {
	one := nextHop{index: r.LinkIndex, ipv6: r.Family == netlink.FAMILY_V6, metric: r.Priority}
	if len(r.MultiPath) == 0 {
		one.gateway = gateway(r.Gw, r.Via)
		one.onlink = onlink(r.Flags, one.gateway)
		return []nextHop{one}
	}
	for _, n := range r.MultiPath {
		one.index, one.gateway = n.LinkIndex, gateway(n.Gw, n.Via)
		one.onlink = onlink(n.Flags, one.gateway)
		hops = append(hops, one)
	}
	return hops
}

func onlink(flags int, via netip.Addr) bool {
	return via.IsValid() && flags&unix.RTNH_F_ONLINK != 0
}

func bits(r netlink.Route) int {
	if r.Dst == nil {
		return 0
	}
	n, _ := r.Dst.Mask.Size()
	return n
}

func destination(r netlink.Route) netip.Prefix {
	if bits(r) > 0 {
		return prefix(r.Dst)
	}
	if r.Family == netlink.FAMILY_V6 {
		return netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	}
	return netip.PrefixFrom(netip.IPv4Unspecified(), 0)
}

func gateway(gw net.IP, via netlink.Destination) netip.Addr {
	if v, ok := via.(*netlink.Via); ok && gw == nil {
		gw = v.Addr
	}
	a, _ := netip.AddrFromSlice(gw)
	return a.Unmap()
}
