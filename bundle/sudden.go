package bundle

import (
	"fmt"
	"time"
)

// What is seen at one look or two: each tenth of a second counts, for what comes over
// the others behind a link that stops has to be sent again. Chosen by us, measured in
// the reference lab.
const (
	// A link stops that carries less than stopPart of what it did, so that less than
	// blockPart of the best one's rate comes through, for suddenSpan. With round trips of
	// more than a third of that, it may be how its data comes.
	suddenSpan = 250 * time.Millisecond
	stopPart   = 0.35
	blockPart  = 0.4

	// tinyPart is what a link carries at most, beside the best one, so as to be of no
	// use: what it adds is less than what waiting for its packets costs. That is taken
	// over tinySpan, after more was wanted for tinyGrows and tinyTrips round trips: a
	// link that grows doubles its rate with each.
	tinyPart  = 0.03
	tinySpan  = 500 * time.Millisecond
	tinyGrows = 250 * time.Millisecond
	tinyTrips = 8
)

// stops reports whether a link that was of use has stopped, and holds up the rest: the
// others go on, for as long as there is memory for what comes over them, and only here
// packets wait. The best of the others alone carries most.
func (m *Mind) stops(b *Bundle, o *Observation, others []string, d int, most float64) bool {
	if o.Probes.Min == 0 || 3*o.Probes.Min > suddenSpan || m.settled(b.At) < 2*time.Second || !stands(o, 1) {
		return false
	}
	was := m.earlier(b.At, func(p *moment) float64 { return p.links[o.Link][d] })
	if was < slowPart*most || m.rate(b.At, suddenSpan, d, o.Link) >= stopPart*was {
		return false
	}
	if m.hears(b.At, o.Link) {
		return false
	}
	// What came over the others meanwhile lies here, until the relay may send no more.
	if d == down && (float64(b.Held) < most*suddenSpan.Seconds()/2 || m.rate(b.At, suddenSpan, d, others...) < most/4) {
		return false
	}
	return m.good(b.At, suddenSpan, d) < blockPart*most && m.waited(b.At, suddenSpan, d)
}

// hears reports whether segments come over a link as before. A packet that was lost
// stops all that is counted in bytes for a round trip, queue and all, as if the link
// had stopped.
func (m *Mind) hears(now time.Duration, name string) bool {
	of := func(p *moment) float64 { return p.heard[name] }
	late, _ := m.mean(now, suddenSpan, of)
	return late > 0 && late >= stopPart*m.earlier(now, of)
}

// suddenly says what stops means.
func (m *Mind) suddenly(b *Bundle, o *Observation, d int) string {
	was := m.earlier(b.At, func(p *moment) float64 { return p.links[o.Link][d] })
	return fmt.Sprintf("it carries %s %s instead of %s", mbit(m.rate(b.At, suddenSpan, d, o.Link)), directionText[d], mbit(was))
}

// tiny says how little a link carries if that is too little beside most, and it is all
// that it can; "" otherwise.
func (m *Mind) tiny(b *Bundle, o *Observation, d int, most float64) string {
	rate := m.rate(b.At, tinySpan, d, o.Link)
	grown := min(m.wantedFor(b.At, d), b.At-m.links[o.Link].turned)
	// One that carries nothing has a gap, and of one that carried more there is more to come.
	if rate < someRate || m.links[o.Link].peak[d].max() >= slowPart*most {
		return ""
	}
	if rate >= tinyPart*most || !loaded(o) || grown < tinyGrows+tinyTrips*o.Probes.Min || m.settled(b.At) < tinySpan {
		return ""
	}
	if share, _ := m.mean(b.At, time.Second, func(p *moment) float64 {
		if p.waiting[d] {
			return 1
		}
		return 0
	}); share < 0.4 {
		return ""
	}
	return fmt.Sprintf("%s %s", mbit(rate), directionText[d])
}
