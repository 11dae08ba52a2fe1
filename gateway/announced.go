package gateway

import (
	"net/netip"
	"slices"

	"tributary/link"
	"tributary/mptcp"
)

// A link that lacks the family in which a connection began joins at an address that the
// relay announces, once: the kernel forgets what it cannot join at that moment. So a
// connection lacks such a link for good if it began while the link was away, or if the
// announcement came late, and only another one has it.

// rejoins reports whether a local address joins a living connection to the relay again.
func rejoins(local netip.Addr, to netip.AddrPort) bool {
	return local.Is6() == to.Addr().Unmap().Is6()
}

// hears notes that the relay announces addresses: what it told one connection it tells all.
func (u *upstream) hears(c *relayConn, full mptcp.Full) {
	if full.Announced > 0 && c.instance != 0 {
		u.announcer.Store(c.instance)
	}
}

// wants returns how many links a connection is to have. One that is tried which let
// nothing join is not missed, for living connections show what becomes of that, unless
// only a new one can join it.
func (u *upstream) wants(c *relayConn, to netip.AddrPort, full mptcp.Full, trial func(netip.Addr) bool) int {
	u.hears(c, full)
	now, later := u.expected(to, full)
	now = slices.DeleteFunc(now, func(s source) bool { return trial(s.addr) && rejoins(s.addr, to) })
	if c.instance != 0 && u.announcer.Load() == c.instance {
		now = append(now, later...)
	}
	return len(now)
}

// arrivals notice addresses that join which did not a moment ago.
type arrivals struct {
	known map[netip.Addr]bool
	any   bool
}

// note takes the links of now.
func (a *arrivals) note(links []link.Link) {
	known := make(map[netip.Addr]bool)
	for _, l := range links {
		for _, addr := range l.Joins {
			known[addr] = true
			a.any = a.any || !a.known[addr]
		}
	}
	a.known = known
}

// take reports whether there were any since it was last called.
func (a *arrivals) take() bool {
	was := a.any
	a.any = false
	return was
}

// scout has one connection made at once, if all lack a link, whatever became of that
// before: the link that has just come back was not there to be tried.
func (p *pool) scout() {
	p.mu.Lock()
	p.scouts = pace{}
	p.mu.Unlock()
}
