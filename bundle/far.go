package bundle

import (
	"fmt"
	"time"

	"tributary/health"
	"tributary/link"
)

// The kernel gives the first 64 KiB that find another link busy to a link at rest,
// however long its round trips are, and all that follows waits for them. So over a far
// link no transfer may begin: it stands by until demand has lasted. Chosen by us.
const (
	// farTimes and farMore are by how much the round trips of a far link are longer than
	// the quickest one's, as a satellite's are; it is far until they are by less than
	// nearTimes or nearMore. One with 300 ms beside 20 is not: it adds more to a long
	// transfer when its windows grow from the beginning on.
	farTimes, nearTimes = 4, 3
	farMore, nearMore   = 400 * time.Millisecond, 350 * time.Millisecond

	// farOpens is for how long the links before it have to be full: while its windows
	// grow, and with each loss, the whole may stop for seconds.
	farOpens = 20 * time.Second

	// farTrips is how many round trips it takes more, than a link nearby, to show what
	// it adds.
	farTrips = 10

	// lossTrips is how many round trips all may wait for a packet that was lost.
	lossTrips = 4
)

// compare finds the links that are far, beside the quickest that takes part.
func (m *Mind) compare(b *Bundle) {
	for i := range b.Links {
		o := &b.Links[i]
		k := m.links[o.Link]
		near := m.nearest(b, o)
		if near == nil || o.Probes.Min == 0 {
			k.far = ""
			continue
		}
		times, more := time.Duration(farTimes), farMore
		if k.far != "" {
			times, more = nearTimes, nearMore
		}
		if rtt := o.Probes.Min; rtt < times*near.Probes.Min || rtt < near.Probes.Min+more {
			k.far = ""
		} else {
			k.far = fmt.Sprintf("its round trips take %d ms, those of %s %d", rtt.Milliseconds(), near.Link, near.Probes.Min.Milliseconds())
		}
	}
}

// nearest returns the quickest of the other links that are to carry traffic always,
// nil if there is none.
func (m *Mind) nearest(b *Bundle, than *Observation) (near *Observation) {
	for i := range b.Links {
		o := &b.Links[i]
		if o == than || o.Mode != link.On || o.Thrift != Free || !o.Up || o.Health == health.Dead {
			continue
		}
		if o.Probes.Min == 0 || m.links[o.Link].conduct.state != taking {
			continue
		}
		if near == nil || o.Probes.Min < near.Probes.Min {
			near = o
		}
	}
	return near
}

// lasts reports whether demand has lasted until a far link is worth it; long is for how
// long the links before it have been full, or less than 0.
func (v *overflow) lasts(now, long time.Duration) bool {
	switch {
	case long >= 0 && v.from == 0:
		v.from, v.seen = now, now
	case long >= 0:
		v.seen = now
	case now-v.seen > closeSpan: // BBR leaves a link idle for a moment every 10 s
		v.from = 0
	}
	return long >= 0 && now-v.from >= farOpens
}

// proves returns for how long a link may be used until it has to have added something.
func (k *memory) proves(o *Observation) time.Duration {
	if k.far == "" {
		return provedAfter + 2*o.Probes.Min
	}
	return provedAfter + farTrips*o.Probes.Min
}

// ailsFor returns how long nearly nothing has to come through for the blame to be on a
// link. Where round trips are long, a packet that was lost takes some of them.
func ailsFor(o *Observation) time.Duration { return max(ailSpan, lossTrips*o.Probes.Min) }
