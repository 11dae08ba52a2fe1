package link

// A memory holds, by the device's number, the gateways of links that went down.
//
// The kernel removes default routes when an interface is switched off, and
// whoever made them (a DHCP client) may put them back much later than the
// address, or never. So a link that comes back with its prefix unchanged is used at
// once by the gateway it had. A default route that vanishes while the link is up
// was withdrawn on purpose, and is forgotten.
type memory map[int]map[bool]remembered

type remembered struct {
	hop nextHop
	src address
}

// update learns from links that are up. A link that is down teaches nothing.
func (m *memory) update(o *observed) {
	next := memory{}
	for i := range o.devices {
		d := &o.devices[i]
		old := (*m)[d.index]
		now := map[bool]remembered{}
		for _, ipv6 := range []bool{false, true} {
			known, remembers := old[ipv6]
			a, addressed := d.source(ipv6, known.src.addr)
			h, routed := o.hop(d.index, ipv6)
			switch {
			case addressed && routed:
				now[ipv6] = remembered{hop: h, src: a}
			case !remembers:
			case !d.up || !d.carrier || !addressed:
				known.hop.metric = waiting
				now[ipv6] = known
			case known.hop.metric == waiting:
				now[ipv6] = known // it came back, its route did not yet
			}
		}
		if len(now) > 0 {
			next[d.index] = now
		}
	}
	*m = next
}

// waiting, as the metric of a remembered route, says that the link was down since
// the route was seen.
const waiting = -1

// recall returns the gateway of before, if the link was down since and its
// address is in the same network as then.
func (m memory) recall(d *device, a address) (nextHop, bool) {
	r, ok := m[d.index][a.addr.Is6()]
	if !ok || r.hop.metric != waiting || r.src.net != a.net || !r.hop.gateway.IsValid() {
		return nextHop{}, false
	}
	return r.hop, true
}

// knows reports whether d was a link before it went down.
func (m memory) knows(d *device) bool { return len(m[d.index]) > 0 }
