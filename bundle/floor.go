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

	// moreTimes and more are by how much round trips have to be longer than those of the
	// best link so as to be a reason for harm.
	moreTimes = 3
	more      = 150 * time.Millisecond

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
		if most < someRate {
			continue
		}
		span, role, fault := m.harm(b, o, others, d, most)
		if fault == "" {
			if slow := m.tiny(b, o, d, most); slow != "" {
				// What is on its way over it would take seconds.
				p := out(Tiny, fmt.Sprintf("it carries %s beside the %s of %s", slow, mbit(most), best))
				m.setAside(b, o, p, d, harmSpan)
				c.state, c.until = held, b.At+c.hold // there is nothing to be checked
				return
			}
			continue
		}
		if o.Probes.RTT-o.Probes.Min >= stuckWait {
			role = link.Out
		}
		got := m.good(b.At, span, d)
		m.setAside(b, o, Part{role, Harmful, fmt.Sprintf("%s came through, and %s alone carries %s; %s", mbit(got), best, mbit(most), fault)}, d, span)
		return
	}
}

// harm returns for how long a link has done harm, what role that calls for, and what
// is wrong with it; "" if it does none. The best of the others alone carries most.
func (m *Mind) harm(b *Bundle, o *Observation, others []string, d int, most float64) (span time.Duration, role link.Role, fault string) {
	healthy := m.before(b.At, d) >= healthyPart*most
	if healthy && m.stops(b, o, others, d, most) {
		return suddenSpan, link.Out, m.suddenly(b, o, d)
	}
	span = ailsFor(o)
	fault = m.fault(b, o, others, span, d)
	if healthy && fault != "" && m.harms(b.At, span, d, collapsePart*most) {
		return span, link.Out, fault
	}
	// What came before the windows had grown says nothing.
	grown := min(m.wantedFor(b.At, d), b.At-m.links[o.Link].turned) - growSpan - growTrips*o.Probes.Min
	if grown >= harmSpan && m.waited(b.At, ailSpan, d) && m.harms(b.At, harmSpan, d, harmPart*most) {
		return harmSpan, link.Standby, m.fault(b, o, others, harmSpan, d)
	}
	return 0, link.Full, ""
}

// harms reports whether for a span less came through than should, while more was
// wanted, and no role had changed shortly before.
func (m *Mind) harms(now, span time.Duration, d int, least float64) bool {
	return m.good(now, span, d) < least && m.settled(now) >= span+span/3 && m.waited(now, span, d)
}

// before returns what programs got in the seconds before the last one.
func (m *Mind) before(now time.Duration, d int) float64 {
	return m.earlier(now, func(p *moment) float64 { return p.good[d] })
}

// fault returns what is wrong with a link, "" if nothing is: then it is not to blame.
// Until harm has lasted, being far or lossy is no fault, nor is carrying little without a
// queue that stands, for BBR lets a link run dry for a fifth of a second every 10 s, and often
// all of them at once; nor if segments come as before, for one that was lost holds up what is
// counted.
func (m *Mind) fault(b *Bundle, o *Observation, others []string, span time.Duration, d int) string {
	p := &o.Probes
	var words []string
	lasting := span >= harmSpan
	if n := p.Answered + p.Missed; n > 0 && p.Missed >= ailMissed && float64(p.Missed) >= ailShare*float64(n) {
		words = append(words, fmt.Sprintf("%d of its last %d probes were missed", p.Missed, n))
	} else if lasting && o.Health == health.Doubtful && o.Reason == health.Lossy {
		words = append(words, fmt.Sprintf("%.0f %% of its probes get lost", p.Loss))
	}
	best, most := m.best(others, d)
	if rate := m.rate(b.At, span, d, o.Link); rate < slowPart*most && loaded(o) && (lasting || p.Standing() >= loadedLeast && !m.hears(b.At, o.Link)) {
		words = append(words, fmt.Sprintf("it carries %s %s with %d ms of queue", mbit(rate), directionText[d], (p.RTT-p.Min).Milliseconds()))
	}
	if p.RTT > 2*p.Min+ailWait {
		words = append(words, fmt.Sprintf("its round trips take %d ms instead of %d", p.RTT.Milliseconds(), p.Min.Milliseconds()))
	} else if i := slices.IndexFunc(b.Links, func(x Observation) bool { return x.Link == best }); lasting && i >= 0 {
		if least := b.Links[i].Probes.Min; least > 0 && p.Min > moreTimes*least+more {
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
