package bundle

import (
	"fmt"
	"time"

	"tributary/health"
	"tributary/link"
)

// How a link comes out of the bundle and back. Chosen by us.
const (
	// checkAfter is when the rest has to be clearly faster, by betterPart, than the whole
	// was: else it was not the link, which is not blamed again for pardonLeast, doubling
	// up to pardonMost.
	checkAfter  = 3 * time.Second
	betterPart  = 0.1
	pardonLeast = 30 * time.Second
	pardonMost  = 10 * time.Minute

	// holdLeast is how long a link is aside at least, or holdSudden if it had the blame
	// so soon that it may just have paused. That doubles up to holdMost, and is forgotten
	// when it did well for holdForgets as long.
	holdLeast   = 2 * time.Minute
	holdSudden  = 10 * time.Second
	holdMost    = 30 * time.Minute
	holdForgets = 5

	// A trial takes trialSpan and trialTrips round trips, and is over at once if only
	// trialPart of the rate is left. The link has to add trialGain.
	trialSpan  = 3 * time.Second
	trialTrips = 8
	trialPart  = 0.7
	trialGain  = 0.03
	demandSpan = time.Second // for how long the others have to be full before
)

// A stage says where a link is on its way out of the bundle and back.
type stage int

const (
	taking stage = iota // it takes part
	judged              // it is aside, and it is seen whether that helps
	held                // it is aside
	trying              // it takes part again, on trial
)

// A conduct is what is remembered of a link as to harm.
type conduct struct {
	state  stage
	since  time.Duration
	part   Part                // while it is not taking
	before [directions]float64 // what programs got when the state began
	toward int                 // the direction in which it did harm
	hold   time.Duration       // for how long it was aside last, 0 if it did well since
	held   time.Duration       // the same, before it was set aside
	until  time.Duration       // until when it is aside, or may not be blamed
	pardon time.Duration       // for how long it may not be blamed, the last time
}

// judge decides whether a link that would take part may, beside the others that do.
// It returns ok, or the part it has to play instead.
func (m *Mind) judge(b *Bundle, o *Observation, others []string) (Part, bool) {
	c := &m.links[o.Link].conduct
	if (c.state == judged || c.state == held) && b.At-c.since >= outTime {
		c.part.Role = link.Standby
	}
	switch c.state {
	case judged:
		if b.At-c.since >= checkAfter {
			m.check(b, o, others)
		}
	case held:
		if m.mayTry(b, o, others) {
			c.state, c.since = trying, b.At
			c.part = full(Trial, fmt.Sprintf("it was aside for %v", c.hold))
			c.before = [directions]float64{m.good(b.At, closeSpan, down), m.good(b.At, closeSpan, up)}
		}
	case trying:
		m.try(b, o)
	default:
		m.blame(b, o, others)
	}
	return c.part, c.state == taking
}

// setAside takes a link out of the bundle, for harm of the last span.
func (m *Mind) setAside(b *Bundle, o *Observation, p Part, d int, span time.Duration) {
	c := &m.links[o.Link].conduct
	for dir := range directions {
		c.before[dir] = m.good(b.At, span, dir)
	}
	least := holdLeast
	if span <= suddenSpan {
		least = holdSudden
	}
	c.state, c.since, c.part, c.toward = judged, b.At, p, d
	c.held, c.hold = c.hold, min(max(least, 2*c.hold), holdMost)
}

// check looks whether it was right to set a link aside.
func (m *Mind) check(b *Bundle, o *Observation, others []string) {
	c := &m.links[o.Link].conduct
	got := m.good(b.At, checkAfter/2, c.toward)
	if got >= (1+betterPart)*c.before[c.toward] {
		c.state, c.until = held, b.At+c.hold
		return
	}
	// Nobody wanted more, or it was something else, or the others are slower than they
	// were: then that is how fast they are.
	c.hold = c.held
	c.pardon = min(max(pardonLeast, 2*c.pardon), pardonMost)
	c.state, c.since, c.until = taking, b.At, b.At+c.pardon
	if long, d := m.fullFor(b.At, others); long >= 0 && d == c.toward {
		for _, l := range others {
			k := m.links[l]
			k.peak[d] = peak{now: m.rate(b.At, checkAfter/2, d, l), since: b.At}
		}
	}
}

// mayTry reports whether a link that is aside may be tried: the time has come, the
// others are full, and nothing is wrong with it.
func (m *Mind) mayTry(b *Bundle, o *Observation, others []string) bool {
	c := &m.links[o.Link].conduct
	long, _ := m.fullFor(b.At, others)
	return b.At >= c.until && len(others) > 0 && long >= demandSpan && !ails(o) && o.Health != health.Doubtful
}

// try looks how a link on trial does.
func (m *Mind) try(b *Bundle, o *Observation) {
	c := &m.links[o.Link].conduct
	span := ailsFor(o)
	got := m.good(b.At, span, c.toward)
	length := trialSpan + trialTrips*o.Probes.Min
	switch age := b.At - c.since; {
	case age >= span && got < trialPart*c.before[c.toward] && (ails(o) || m.waited(b.At, span, c.toward)):
		m.setAside(b, o, out(Harmful, fmt.Sprintf("on trial: %s came through with it, and %s without", mbit(got), mbit(c.before[c.toward]))), c.toward, span)
	case age < length:
		return
	case m.good(b.At, length/2, c.toward) < (1+trialGain)*c.before[c.toward]:
		m.setAside(b, o, standby(Harmful, fmt.Sprintf("on trial it added nothing to the %s of the others", mbit(c.before[c.toward]))), c.toward, harmSpan)
	default:
		c.state, c.since, c.until = taking, b.At, b.At
		return
	}
	c.state, c.until = held, b.At+c.hold
}

// spare has a link not blamed until then.
func (c *conduct) spare(until time.Duration) {
	if c.state == taking {
		c.until = max(c.until, until)
	}
}

// excuse ends what is going on about a link that has no part in the bundle now.
func (c *conduct) excuse(now time.Duration) {
	if c.state == judged || c.state == trying {
		c.state, c.since, c.until, c.part.Role = held, now, now+c.hold, link.Standby
	}
}

// dies ends it for a link that is dead: what was seen of it just before was its dying,
// and once it is alive again there is nothing left of that.
func (c *conduct) dies(now time.Duration) {
	if c.state == judged {
		c.state, c.since, c.until, c.hold = taking, now, now, c.held
	}
}
