package bundle

import (
	"fmt"
	"strings"
	"time"
)

// How a link that is to be spared is used. Chosen by us.
const (
	// openAfter is how long the links before it have to be full. That a queue stands
	// takes 0.7 s to be seen by itself.
	openAfter = 600 * time.Millisecond

	// closeAt is the part of what the links before it carry below which the whole has to
	// fall, over closeSpan, until it is not needed any more.
	closeAt   = 0.9
	closeSpan = 2 * time.Second

	// openLeast is how long it is used at least. That doubles up to openMost when it was
	// needed again within flapTime.
	openLeast = 3 * time.Second
	openMost  = 48 * time.Second
	flapTime  = 15 * time.Second

	// By provedAfter it has to have added provedPart: else the others were not full, but
	// as fast as was wanted, and it rests for restLeast, doubling up to restMost.
	provedAfter = 3 * time.Second
	provedPart  = 0.05
	restLeast   = 30 * time.Second
	restMost    = 30 * time.Minute
)

// An overflow is what is remembered of a link that is to be spared.
type overflow struct {
	open   bool
	since  time.Duration // when it opened or closed
	proved bool          // it has added something since it opened
	before float64       // what all links carried when it opened
	toward int           // the direction in which the others were full
	least  time.Duration // for how long it stays open at least
	rest   time.Duration // how long it rests after the next time that it adds nothing
	until  time.Duration // until when it rests
	why    string        // that it opened, in words

	from, seen time.Duration // when the others were seen full first, short breaks aside, and last
}

// spill decides whether a link that is to be spared is used: before are the links
// that carry traffic before it.
func (m *Mind) spill(b *Bundle, o *Observation, t tier, before []string) Part {
	k := m.links[o.Link]
	v := &k.overflow
	if len(before) == 0 {
		return full(Alone, "no link before it works")
	}
	all := append(before[:len(before):len(before)], o.Link)
	if !v.open {
		long, d := m.fullFor(b.At, before)
		opens := long >= openAfter
		if t == distant {
			opens = v.lasts(b.At, long)
		}
		if !opens || b.At < v.until {
			return m.spare(o, "")
		}
		// Over a far link that stays open for nothing the next transfer would begin.
		if b.At-v.since > flapTime || v.least == 0 || t == distant {
			v.least = openLeast
		} else {
			v.least = min(2*v.least, openMost)
		}
		v.open, v.since, v.from, v.toward, v.proved = true, b.At, 0, d, false
		v.before = max(m.rate(b.At, rateSpan, d, all...), m.rate(b.At, closeSpan, d, all...))
		v.why = m.fullWords(b, before, d)
		if k.far != "" {
			k.conduct.spare(b.At + growSpan + growTrips*o.Probes.Min)
		}
		return full(Needed, v.why)
	}
	if !v.proved && b.At-v.since >= k.proves(o) {
		now := max(m.rate(b.At, rateSpan, v.toward, all...), m.rate(b.At, closeSpan, v.toward, all...))
		if carried, known := m.carries(v.toward, before); now < (1+provedPart)*v.before && !(known && now < closeAt*carried) {
			v.rest = min(max(restLeast, 2*v.rest), restMost)
			v.open, v.since, v.until = false, b.At, b.At+v.rest
			return m.spare(o, fmt.Sprintf("it added nothing: %s before and %s with it; it rests for %v", mbit(v.before), mbit(now), v.rest))
		}
		v.proved, v.rest = true, 0
	}
	if b.At-v.since < v.least {
		return full(Needed, v.why)
	}
	words := []string{}
	for d := range directions {
		carried, known := m.carries(d, before)
		total := m.rate(b.At, closeSpan, d, all...)
		if known && total >= closeAt*carried {
			return full(Needed, v.why)
		}
		if known {
			words = append(words, fmt.Sprintf("%s %s in all, and %s can carry %s", mbit(total), directionText[d], strings.Join(before, " and "), mbit(carried)))
		}
	}
	v.open, v.since = false, b.At
	return m.spare(o, strings.Join(words, "; "))
}

// shut has a link that is to be spared closed when it is not its turn.
func (k *memory) shut(now time.Duration) {
	if k.overflow.open {
		k.overflow.open, k.overflow.since = false, now
	}
}

// spare is the part of a link that has to wait.
func (m *Mind) spare(o *Observation, why string) Part {
	if far := m.links[o.Link].far; m.tierOf(o) == distant {
		return standby(Far, strings.TrimPrefix(why+"; "+far, "; "))
	}
	p := standby(NotNeeded, why)
	if o.Thrift == Spare && o.Spared != "" {
		p.Reason, p.Why = Spared, strings.TrimPrefix(why+"; "+o.Spared, "; ")
	}
	return p
}

// fullWords says how full links are.
func (m *Mind) fullWords(b *Bundle, links []string, d int) string {
	var words []string
	for i := range b.Links {
		o := &b.Links[i]
		for _, l := range links {
			if l == o.Link {
				s := fmt.Sprintf("%s carries %s %s", l, mbit(m.rate(b.At, Soon, d, l)), directionText[d])
				if w := o.Probes.Standing(); w >= time.Millisecond {
					s += fmt.Sprintf(" with %d ms of queue", w.Milliseconds())
				}
				words = append(words, s)
			}
		}
	}
	return strings.Join(words, "; ") + ": full"
}

// mbit writes bytes per second as people do.
func mbit(bytes float64) string {
	v := bytes * 8 / 1e6
	if v >= 10 {
		return fmt.Sprintf("%.0f Mbit/s", v)
	}
	return fmt.Sprintf("%.1f Mbit/s", v)
}
