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
// a transfer that begins meanwhile waits for it.
func (m *Mind) unheard(b *Bundle, o *Observation) bool {
	if o.Mode != link.On || o.Thrift != Free || o.Health != health.Unknown || o.Probes.Min > 0 {
		return false
	}
	return b.At-m.links[o.Link].came < unheardFor && m.nearest(b, o) != nil
}
