package bundle

import (
	"time"

	"tributary/health"
	"tributary/link"
)

// unheardFor is for how long a link may keep others waiting for its first answer: one
// by satellite takes 0.6 s, and where probes are not answered the link may work all the
// same. Chosen by us.
const unheardFor = 1500 * time.Millisecond

// unheard reports whether nobody knows yet what a link is that has just come, while
// another one is known. A subflow that joins now keeps at the relay the part that it
// began with until it is told otherwise, which takes a far link's own round trips, and
// a transfer that begins meanwhile waits for it. Connections that have begun over a link
// would join it once more when its endpoint is back, so that one keeps it.
func (m *Mind) unheard(b *Bundle, o *Observation) bool {
	k := m.links[o.Link]
	if o.Mode != link.On || o.Thrift != Free || o.Health != health.Unknown || o.Probes.Min > 0 || k.leads {
		return false
	}
	return b.At-k.came < unheardFor && m.nearest(b, o) != nil
}

// leads reports whether connections begin over a link while none is known: over the first.
func leads(b *Bundle, l *Observation) bool {
	var first *Observation
	for i := range b.Links {
		o := &b.Links[i]
		if o.Mode == link.On && o.Thrift == Free && o.Up && (first == nil || o.Order < first.Order) {
			first = o
		}
	}
	return first != nil && first.Link == l.Link
}
