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
