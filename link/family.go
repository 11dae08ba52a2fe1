package link

import "net/netip"

// SixFirst reports whether connections are to begin by IPv6 where the relay has both
// families: more links have it than have IPv4. The kernel joins a link to a connection
// at the address where it began, if the link has that family; else at one of the other
// family that the relay announces. The former also works for a link that comes back.
func SixFirst(links []Link) bool {
	four, six := 0, 0
	for _, l := range links {
		for _, a := range l.Addrs {
			if a.Is6() {
				six++
			} else {
				four++
			}
		}
	}
	return six > four
}

func sixFirst(links []*candidate) bool {
	all := make([]Link, len(links))
	for i, c := range links {
		all[i] = c.Link
	}
	return SixFirst(all)
}

// OnlySix says whether the relay has no IPv4 address. Connections then begin by IPv6
// whatever the links have, and IPv6 addresses come first where the kernel has not enough
// endpoints for all. It applies at once what differs.
func (m *Manager) OnlySix(only bool) error {
	m.work.Lock()
	same := m.planner.onlySix == only
	m.planner.onlySix = only
	m.work.Unlock()
	if same || m.kernel == nil {
		return nil
	}
	return m.follows()
}

// apart reports whether a link has to join in the other family than that in which
// connections begin: then its endpoint is fullmesh, which joins at announced addresses
// of its own family, and only there.
func (c *candidate) apart(six bool, barred map[netip.Addr]string) (other bool) {
	for _, s := range c.sources {
		if _, bar := barred[s.addr]; bar {
			continue
		}
		if s.addr.Is6() == six {
			return false
		}
		other = true
	}
	return other
}

// announce has a relay tell its peers its address of each family, so that links which
// lack the family of a connection can join it. A relay that has one family has
// nothing to tell; neither has one behind a NAT, whose own address means nothing
// elsewhere.
func (p *plan) announce(o *observed) {
	var all []endpoint
	for _, ipv6 := range []bool{false, true} {
		if e, ok := o.public(ipv6); ok {
			all = append(all, e)
		}
	}
	if len(all) < 2 {
		return
	}
	for _, e := range all {
		if !o.isForeign(e.addr) {
			p.endpoints = append(p.endpoints, e)
		}
	}
}

// isShared tells the address space between providers and their customers (RFC 6598).
func isShared(a netip.Addr) bool {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 64}), 10).Contains(a)
}

// public returns the endpoint that announces the address of a family by which this
// host is reached: that of the preferred default route, if anybody may use it.
func (o *observed) public(ipv6 bool) (e endpoint, found bool) {
	metric := 0
	for _, h := range o.defaults {
		if h.ipv6 != ipv6 || found && h.metric >= metric {
			continue
		}
		for i := range o.devices {
			d := &o.devices[i]
			if d.index != h.index || !d.up {
				continue
			}
			if a, ok := d.source(ipv6, netip.Addr{}); ok && !a.addr.IsPrivate() && !isShared(a.addr) {
				e, found, metric = endpoint{addr: a.addr, index: d.index, dev: d.name, signal: true}, true, h.metric
			}
		}
	}
	return e, found
}

// isForeign reports whether an address already is an endpoint that others made.
func (o *observed) isForeign(a netip.Addr) bool {
	for _, e := range o.endpoints {
		if e.addr == a && !e.ours && !e.implicit {
			return true
		}
	}
	return false
}
