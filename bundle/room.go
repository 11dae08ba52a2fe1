package bundle

import (
	"time"

	"tributary/health"
)

// How it is told that a link is full. Chosen by us; measured in the reference lab with
// BBR, whose queue is the shortest: at 26 of 30 Mbit/s the quickest probe of 0.7 s
// waited 0 to 3 ms, at full rate 26 to 42 ms from the second second on.
const (
	// A queue stands if even the quickest probe waits so long, or such a part of the
	// least round trip.
	standingLeast = 5 * time.Millisecond
	standingPart  = 8

	// A short queue stands if the quickest probe waits shortPart of that, the others wait
	// clearly longer, and the link carries mostPart of the most it did: so it is with BBR
	// in its first second, 3 to 4 ms.
	shortPart = 0.5
	mostPart  = 0.95

	// waitingBytes are more than what waits while a link has room.
	waitingBytes = 48 << 10

	// someRate is less than what a line in use carries, in bytes per second.
	someRate = 20e3

	// fullPart is the part of what a link carries when full that it carries at least
	// while it is called full: a queue at less is somebody else's, or another way.
	fullPart = 0.5

	// roomTime is over how long what a full link carries is averaged.
	roomTime = 2 * time.Second

	// rateSpan is over how long a rate is taken.
	rateSpan = time.Second
)

// learn learns from what was measured how much each link carries.
func (m *Mind) learn(b *Bundle) {
	if b.Span <= 0 {
		return
	}
	for i := range b.Links {
		o := &b.Links[i]
		k := m.links[o.Link]
		for d := range directions {
			rate := m.rate(b.At, rateSpan, d, o.Link)
			k.peak[d].see(rate, b.At)
			k.full[d] = m.isFull(b, o, d, rate)
			if !k.full[d] {
				k.fullSince[d] = b.At
				if k.room[d] > 0 {
					k.room[d] = max(k.room[d], rate)
				}
				continue
			}
			if b.At-k.fullSince[d] < openAfter {
				continue // it may be for a moment only
			}
			if k.room[d] == 0 {
				k.room[d] = rate
			}
			k.room[d] += (rate - k.room[d]) * min(1, b.Span.Seconds()/roomTime.Seconds())
		}
	}
}

// isFull reports whether a link carries all it can in a direction.
func (m *Mind) isFull(b *Bundle, o *Observation, d int, rate float64) bool {
	k := m.links[o.Link]
	if !o.Up || rate < someRate || rate < fullPart*k.room[d] {
		return false
	}
	stands := stands(o, 1) || stands(o, shortPart) && loaded(o) && m.rate(b.At, 2*Soon, d, o.Link) >= mostPart*k.peak[d].max()
	backlog := b.Backlog >= waitingBytes && m.rate(b.At, rateSpan, up, o.Link) >= someRate
	if d == up {
		// BBR sends next to nothing for 200 ms every 10 s, and then there is a backlog too.
		return backlog && (stands || deaf(o))
	}
	// A queue upwards is seen by the same probes.
	if backlog && (k.room[down] == 0 || rate < 0.7*k.room[down]) {
		return false
	}
	if deaf(o) {
		return rate >= mostPart*k.peak[down].max() // it may be; more will show
	}
	return stands
}

// stands reports whether a queue stands before a link, or that part of one.
func stands(o *Observation, part float64) bool {
	return o.Probes.Standing().Seconds() >= part*max(standingLeast, o.Probes.Min/standingPart).Seconds()
}

// deaf reports whether probes say nothing of a link.
func deaf(o *Observation) bool { return o.Health == health.Unknown || o.Probes.Min == 0 }

// fullFor returns for how long all links have been full in the same direction, and in
// which. Of no link that is for ever.
func (m *Mind) fullFor(now time.Duration, links []string) (long time.Duration, d int) {
	long = -1
	for dir := range directions {
		all := time.Hour
		for _, l := range links {
			k := m.links[l]
			if !k.full[dir] {
				all = -1
				break
			}
			all = min(all, now-k.fullSince[dir])
		}
		if all > long {
			long, d = all, dir
		}
	}
	return long, d
}

// carries returns what links are known to carry together when they are full; known is
// false if any of them has not been seen full.
func (m *Mind) carries(d int, links []string) (sum float64, known bool) {
	for _, l := range links {
		k := m.links[l]
		if k.room[d] == 0 {
			return 0, false
		}
		sum += k.room[d]
	}
	return sum, len(links) > 0
}
