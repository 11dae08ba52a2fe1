package health

import (
	"net/netip"
	"slices"
)

// portTries is how many probes a port of the relay gets before the next one does, while
// none is answered. Chosen by us.
const portTries = 3

// ports are the relay's, at the address that a link probes. Some networks let UDP pass
// to well-known ports alone.
type ports struct {
	all   []netip.AddrPort
	tries int // unanswered, at the port of now
}

func (p *ports) have(relay netip.AddrPort) bool {
	return slices.Contains(p.all, relay) || len(p.all) == 0 && !relay.IsValid()
}

func (p *ports) first() (relay netip.AddrPort) {
	if len(p.all) > 0 {
		relay = p.all[0]
	}
	return relay
}

// turn has a link's probes go to another port if this one answers nothing. The record
// goes on: it is the link's.
func (p *prober) turn() {
	if p.was.State != Unknown || p.observed.unanswered == 0 && p.observed.refused <= p.observed.answer {
		p.ports.tries = 0
		return
	}
	if p.ports.tries++; p.ports.tries <= portTries || len(p.ports.all) < 2 {
		return
	}
	p.close()
	i := slices.Index(p.ports.all, p.relay)
	p.relay, p.ports.tries = p.ports.all[(i+1)%len(p.ports.all)], 1
}

// pair returns a link's address and the relay's, with all its ports, that go together:
// the first of the relay's that has the family of one of the link's.
func pair(addrs []netip.Addr, relays []netip.AddrPort) (local netip.Addr, all []netip.AddrPort) {
	for _, r := range relays {
		if len(all) > 0 {
			if r.Addr() == all[0].Addr() {
				all = append(all, r)
			}
			continue
		}
		for _, a := range addrs {
			if a.Is4() == r.Addr().Unmap().Is4() {
				local, all = a, append(all, r)
				break
			}
		}
	}
	return local, all
}
