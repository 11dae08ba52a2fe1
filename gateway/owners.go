package gateway

import (
	"net/netip"
	"sync"

	"tributary/link"
)

// owners remembers whose address each is, or was: what a link has carried stays its
// own when it loses the address. The zero value knows none.
type owners struct {
	mu sync.Mutex
	of map[netip.Addr]string
}

func (o *owners) note(links []link.Link) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.of == nil {
		o.of = make(map[netip.Addr]string)
	}
	for _, l := range links {
		for _, a := range l.Addrs {
			o.of[a] = l.Name
		}
	}
}

// owner returns whose an address is or was, or "".
func (o *owners) owner(a netip.Addr) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.of[a]
}

// forget forgets an address.
func (o *owners) forget(a netip.Addr) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.of, a)
}

// manyAddresses is how many addresses are remembered one by one. A modem may get
// another one with each call, and requests go through what is known of all.
const manyAddresses = 64

// fold enters what addresses have carried that no link has now, and no subflow, for one
// that their link has, when there are many.
func (f *flows) fold(links []link.Link, o *owners) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.past) <= manyAddresses {
		return
	}
	used, heirs := make(map[netip.Addr]bool), make(map[string]netip.Addr)
	for _, l := range links {
		for _, a := range l.Addrs {
			used[a], heirs[l.Name] = true, a
		}
	}
	for _, known := range f.conns {
		for _, s := range known.live {
			used[s.Local.Addr()] = true
		}
	}
	for a, t := range f.past {
		heir, ok := heirs[o.owner(a)]
		if used[a] || !ok {
			continue
		}
		sum := f.past[heir]
		sum.up, sum.down, sum.retrans = sum.up+t.up, sum.down+t.down, sum.retrans+t.retrans
		f.past[heir] = sum
		for _, m := range f.marks {
			if v, ok := m.by[a]; ok {
				m.by[heir] = volume{m.by[heir].up + v.up, m.by[heir].down + v.down}
				delete(m.by, a)
			}
		}
		delete(f.past, a)
		delete(f.least, a)
		o.forget(a)
	}
}

// sum returns the traffic of a link: that of all addresses it has or had.
func (o *owners) sum(name string, by map[netip.Addr]traffic) (sum traffic) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for a, t := range by {
		if o.of[a] != name {
			continue
		}
		sum.up += t.up
		sum.down += t.down
		sum.retrans += t.retrans
		sum.upRate += t.upRate
		sum.downRate += t.downRate
		if t.heard.After(sum.heard) {
			sum.rtt, sum.heard = t.rtt, t.heard
		}
	}
	return sum
}
