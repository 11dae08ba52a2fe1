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

	// A transfer grows for growSpan and growTrips round trips of the link.
	growSpan  = time.Second
	growTrips = 4

	// A link that blocks the whole leaves less than collapsePart of the best link's rate,
	// where there was more than healthyPart of it in the seconds before.
	collapsePart = 0.5
	healthyPart  = 0.7

	// A link ails if of the last probes at least ailMissed and ailShare were missed, or
	// packets wait ailWait beyond twice the least round trip.
	ailMissed = 3
	ailShare  = 0.2
	ailWait   = 200 * time.Millisecond

	// A link is slow that carries less than slowPart of what the best one does, although
	// packets wait for it: loadedLeast, or a part of the least round trip.
	slowPart    = 0.2
	loadedLeast = 10 * time.Millisecond
	loadedPart  = 4

	// farTimes and farMore are by how much a far link's round trips are longer than the
	// quickest one's.
	farTimes = 3
	farMore  = 150 * time.Millisecond

	// tinyPart is what a link carries at most, beside the best one, so as to be of no
	// use: what it adds is less than what waiting for its packets costs. That is taken
	// over tinySpan.
	tinyPart = 0.03
	tinySpan = 1500 * time.Millisecond

	// stuckWait is a queue behind which data waits so long that it is better sent again
	// over the others, for which the link has to be out; for outTime.
	stuckWait = 400 * time.Millisecond
	outTime   = time.Second
)

// blame looks whether a link does harm.
func (m *Mind) blame(b *Bundle, o *Observation, others []string) {
	k := m.links[o.Link]
	c := &k.conduct
	if c.hold > 0 && b.At-max(c.since, c.until) >= holdForgets*c.hold {
		c.hold = 0
	}
	if len(others) == 0 || len(m.past) == 0 || b.At < c.until || k.part.Role != link.Full {
		return // one that has just come back has done nothing yet
	}
	for d := range directions {
		best, most := m.best(others, d)
		if most < someRate || !m.waited(b.At, ailSpan, d) {
			continue
		}
		// What came before the windows had grown says nothing.
		grown := min(m.wantedFor(b.At, d), b.At-k.turned) - growSpan - growTrips*o.Probes.Min
		if slow := m.rate(b.At, tinySpan, d, o.Link); slow < tinyPart*most && loaded(o) && grown >= tinySpan && m.harms(b.At, tinySpan, d, 0, 1) {
			m.setAside(b, o, standby(Tiny, fmt.Sprintf("it carries %s %s beside the %s of %s", mbit(slow), directionText[d], mbit(most), best)), d)
			c.state, c.until = held, b.At+c.hold // there is nothing to be checked
			return
		}
		got, role, fault := m.good(b.At, ailSpan, d), link.Out, m.fault(b, o, others, ailSpan, d)
		if fault == "" || m.before(b.At, d) < healthyPart*most || !m.harms(b.At, ailSpan, d, got, collapsePart*most) {
			got, role, fault = m.good(b.At, harmSpan, d), link.Standby, m.fault(b, o, others, harmSpan, d)
			if fault == "" || grown < harmSpan || !m.harms(b.At, harmSpan, d, got, harmPart*most) {
				continue
			}
		}
		if o.Probes.RTT-o.Probes.Min >= stuckWait {
			role = link.Out
		}
		m.setAside(b, o, Part{role, Harmful, fmt.Sprintf("%s came through, and %s alone carries %s; %s", mbit(got), best, mbit(most), fault)}, d)
		return
	}
}

// harms reports whether for a span there was less than should be had, while more was
// wanted, and no role had changed shortly before.
func (m *Mind) harms(now, span time.Duration, d int, got, most float64) bool {
	return got < most && m.settled(now) >= span+span/3 && m.waited(now, span, d)
}

// before returns what programs got in the seconds before the last one.
func (m *Mind) before(now time.Duration, d int) float64 {
	var sum, known float64
	for i := range m.past {
		if p := &m.past[i]; now-p.at >= time.Second {
			sum, known = sum+p.good[d]*p.span.Seconds(), known+p.span.Seconds()
		}
	}
	return sum / max(known, 0.001)
}

// fault returns what is wrong with a link, "" if nothing is: then it is not to blame.
func (m *Mind) fault(b *Bundle, o *Observation, others []string, span time.Duration, d int) string {
	p := &o.Probes
	var words []string
	if n := p.Answered + p.Missed; n > 0 && p.Missed >= ailMissed && float64(p.Missed) >= ailShare*float64(n) {
		words = append(words, fmt.Sprintf("%d of its last %d probes were missed", p.Missed, n))
	} else if o.Health == health.Doubtful && o.Reason == health.Lossy {
		words = append(words, fmt.Sprintf("%.0f %% of its probes get lost", p.Loss))
	}
	best, most := m.best(others, d)
	if rate := m.rate(b.At, span, d, o.Link); rate < slowPart*most && loaded(o) {
		words = append(words, fmt.Sprintf("it carries %s %s with %d ms of queue", mbit(rate), directionText[d], (p.RTT-p.Min).Milliseconds()))
	}
	if p.RTT > 2*p.Min+ailWait {
		words = append(words, fmt.Sprintf("its round trips take %d ms instead of %d", p.RTT.Milliseconds(), p.Min.Milliseconds()))
	} else if i := slices.IndexFunc(b.Links, func(x Observation) bool { return x.Link == best }); i >= 0 {
		if least := b.Links[i].Probes.Min; least > 0 && p.Min > farTimes*least+farMore {
			words = append(words, fmt.Sprintf("its round trips take %d ms, those of %s %d", p.Min.Milliseconds(), best, least.Milliseconds()))
		}
	}
	return strings.Join(words, ", ")
}

// loaded reports whether packets wait for a link.
func loaded(o *Observation) bool {
	return o.Probes.RTT-o.Probes.Min >= max(loadedLeast, o.Probes.Min/loadedPart)
}

// ails reports whether a link is failing just now.
func ails(o *Observation) bool {
	p := &o.Probes
	return p.Missed >= ailMissed && float64(p.Missed) >= ailShare*float64(p.Answered+p.Missed) || p.RTT > 2*p.Min+ailWait
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
