package bundle

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"tributary/health"
	"tributary/link"
)

// When a link does harm, and what then. Chosen by us; what single cases do to the
// plain kernel is in the tests.
const (
	// harmPart is the part of the best link's own rate below which the bundle is slower
	// than that link alone would be. Rates differ by some percent from second to second.
	harmPart = 0.85

	// A link that ails has the blame after ailSpan of harm, one that is merely far or
	// lossy after harmSpan: data that had to wait for it comes in bursts.
	ailSpan  = 500 * time.Millisecond
	harmSpan = 3 * time.Second

	// collapsePart is what is left of the rates when the link that ails blocks the whole.
	collapsePart = 0.5

	// A link ails if of the last probes at least ailMissed and ailShare were missed, or
	// packets wait ailWait beyond twice the least round trip.
	ailMissed = 3
	ailShare  = 0.2
	ailWait   = 200 * time.Millisecond

	// farTimes and farMore are by how much a far link's round trips are longer than the
	// quickest one's.
	farTimes = 3
	farMore  = 150 * time.Millisecond

	// tinyPart is what a link carries at most, beside the best one, so as to be of no
	// use: what it adds is less than what waiting for its packets costs. That has to be
	// seen for tinySpan.
	tinyPart = 0.03
	tinySpan = 2 * time.Second

	// stuckWait is a queue behind which data waits so long that it is better sent again
	// over the others, for which the link has to be out; for outTime.
	stuckWait = 400 * time.Millisecond
	outTime   = time.Second

	// checkAfter is when the rest has to be clearly faster, by betterPart, than the whole
	// was: else it was not the link, which is not blamed again for pardonLeast, doubling
	// up to pardonMost.
	checkAfter  = 3 * time.Second
	betterPart  = 0.1
	pardonLeast = 30 * time.Second
	pardonMost  = 10 * time.Minute

	// holdLeast is how long a link is aside at least. That doubles up to holdMost, and is
	// forgotten when it did well for holdForgets as long.
	holdLeast   = time.Minute
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
	switch c.state {
	case judged:
		if b.At-c.since >= outTime {
			c.part.Role = link.Standby
		}
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

// blame looks whether a link does harm.
func (m *Mind) blame(b *Bundle, o *Observation, others []string) {
	k := m.links[o.Link]
	c := &k.conduct
	if c.hold > 0 && b.At-max(c.since, c.until) >= holdForgets*c.hold {
		c.hold = 0
	}
	if len(others) == 0 || len(m.past) == 0 {
		return
	}
	if b.At < c.until {
		return
	}
	if best, d, ok := m.tiny(b, o, others); ok {
		m.setAside(b, o, standby(Tiny, fmt.Sprintf("it carries %s %s beside the %s of %s", mbit(k.room[d]), directionText[d], mbit(m.links[best].room[d]), best)), d)
		c.state, c.until = held, b.At+c.hold // there is nothing to be checked
		return
	}
	fault := m.fault(b, o, others)
	if fault == "" {
		return
	}
	for d := range directions {
		best, most := m.best(others, d)
		if most < someRate {
			continue
		}
		got, role := m.good(b.At, ailSpan, d), link.Out
		if !ails(o) || !m.harms(b.At, ailSpan, got, collapsePart*most) {
			got, role = m.good(b.At, harmSpan, d), link.Standby
			if !m.harms(b.At, harmSpan, got, harmPart*most) {
				continue
			}
		}
		if o.Probes.RTT-o.Probes.Min >= stuckWait {
			role = link.Out
		}
		p := Part{role, Harmful, fmt.Sprintf("%s came through, and %s alone carries %s; %s", mbit(got), best, mbit(most), fault)}
		m.setAside(b, o, p, d)
		return
	}
}

// harms reports whether for a span there was less than should be had, while more was
// wanted, and no role had changed shortly before.
func (m *Mind) harms(now, span time.Duration, got, most float64) bool {
	return got < most && m.settled(now) >= span+span/3 && m.waited(now, span)
}

// fault returns what is wrong with a link, "" if nothing is: then it is not to blame.
func (m *Mind) fault(b *Bundle, o *Observation, others []string) string {
	p := &o.Probes
	var words []string
	if n := p.Answered + p.Missed; n > 0 && p.Missed >= ailMissed && float64(p.Missed) >= ailShare*float64(n) {
		words = append(words, fmt.Sprintf("%d of its last %d probes were missed", p.Missed, n))
	} else if o.Health == health.Doubtful && o.Reason == health.Lossy {
		words = append(words, fmt.Sprintf("%.0f %% of its probes get lost", p.Loss))
	}
	if p.RTT > 2*p.Min+ailWait {
		words = append(words, fmt.Sprintf("its round trips take %d ms instead of %d", p.RTT.Milliseconds(), p.Min.Milliseconds()))
	} else {
		for i := range b.Links {
			other := &b.Links[i]
			if slices.Contains(others, other.Link) && other.Probes.Min > 0 && p.Min > farTimes*other.Probes.Min+farMore {
				words = append(words, fmt.Sprintf("its round trips take %d ms, those of %s %d", p.Min.Milliseconds(), other.Link, other.Probes.Min.Milliseconds()))
				break
			}
		}
	}
	return strings.Join(words, ", ")
}

// ails reports whether a link is failing just now.
func ails(o *Observation) bool {
	p := &o.Probes
	return p.Missed >= ailMissed && float64(p.Missed) >= ailShare*float64(p.Answered+p.Missed) || p.RTT > 2*p.Min+ailWait
}

// tiny reports whether a link is of no use beside the best other one.
func (m *Mind) tiny(b *Bundle, o *Observation, others []string) (best string, d int, is bool) {
	k := m.links[o.Link]
	for dir := range directions {
		name := ""
		for _, l := range others {
			if name == "" || m.links[l].room[dir] > m.links[name].room[dir] {
				name = l
			}
		}
		most := m.links[name].room[dir]
		if k.room[dir] == 0 || most == 0 {
			continue
		}
		if k.room[dir] >= tinyPart*most {
			return "", 0, false // of use in this direction
		}
		if m.links[name].full[dir] && b.At-m.links[name].fullSince[dir] >= tinySpan && k.full[dir] && b.At-k.fullSince[dir] >= tinySpan {
			best, d, is = name, dir, true
		}
	}
	return best, d, is
}

// best returns which of the links has carried most of late, and how much.
func (m *Mind) best(links []string, d int) (best string, most float64) {
	for _, l := range links {
		if r := m.links[l].peak[d].max(); best == "" || r > most {
			best, most = l, r
		}
	}
	return best, most
}

// setAside takes a link out of the bundle.
func (m *Mind) setAside(b *Bundle, o *Observation, p Part, d int) {
	c := &m.links[o.Link].conduct
	for dir := range directions {
		c.before[dir] = m.good(b.At, harmSpan, dir)
		if p.Role == link.Out {
			c.before[dir] = m.good(b.At, ailSpan, dir)
		}
	}
	c.state, c.since, c.part, c.toward = judged, b.At, p, d
	c.held, c.hold = c.hold, min(max(holdLeast, 2*c.hold), holdMost)
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
	got := m.good(b.At, ailSpan, c.toward)
	length := trialSpan + trialTrips*o.Probes.Min
	switch age := b.At - c.since; {
	case age >= ailSpan && got < trialPart*c.before[c.toward] && (ails(o) || m.waited(b.At, ailSpan)):
		m.setAside(b, o, standby(Harmful, fmt.Sprintf("on trial: %s came through with it, and %s without", mbit(got), mbit(c.before[c.toward]))), c.toward)
	case age < length:
		return
	case m.good(b.At, length/2, c.toward) < (1+trialGain)*c.before[c.toward]:
		m.setAside(b, o, standby(Harmful, fmt.Sprintf("on trial it added nothing to the %s of the others", mbit(c.before[c.toward]))), c.toward)
	default:
		c.state, c.since, c.until = taking, b.At, b.At
		return
	}
	c.state, c.until = held, b.At+c.hold
}

// excuse ends what is going on about a link that has no part in the bundle now.
func (c *conduct) excuse(now time.Duration) {
	if c.state == judged || c.state == trying {
		c.state, c.since = held, now
	}
}
