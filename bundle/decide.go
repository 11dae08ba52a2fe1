package bundle

import (
	"cmp"
	"slices"
	"time"

	"tributary/health"
	"tributary/link"
)

// A Mind decides, and remembers what it needs for that. The zero Mind is ready.
type Mind struct {
	links   map[string]*memory
	past    []moment
	changed time.Duration             // when a role last changed
	wanting [directions]time.Duration // since when more is wanted than comes, 0 is not now
	awaited [directions]time.Duration // when that was last seen
}

// A memory is what is remembered of a link.
type memory struct {
	part      Part
	up        bool                      // the kernel could use it at the last look
	came      time.Duration             // since when, if so
	leads     bool                      // it came with the others, and connections began over it
	turned    time.Duration             // when its role last changed
	far       string                    // in what it is far, in words; "" if it is not
	peak      [directions]peak          // the most it carried of late
	full      [directions]bool          // it carries all it can
	fullSince [directions]time.Duration // if so
	room      [directions]float64       // what it carries when full, 0 if it never was
	overflow  overflow
	conduct   conduct
}

// Soon is the time between two looks while something is about to happen, and what the
// first one may take after a session has begun.
const Soon = 250 * time.Millisecond

// quickly is that time while links carry all they can: one of several may stop and hold
// up the rest, or another has to open, and each tenth of a second counts. Whoever looks may take more
// time, where a look costs much.
const quickly = 100 * time.Millisecond

// usually is the time between two looks.
const usually = time.Second

// Decide returns the part that each link is to play, by name, and when to look again.
// A Bundle without Span, after an event, has nothing measured: then what is known
// from before counts, with what the event says.
func (m *Mind) Decide(b Bundle) (parts map[string]Part, again time.Duration) {
	links := slices.Clone(b.Links)
	slices.SortStableFunc(links, func(x, y Observation) int { return cmp.Compare(x.Order, y.Order) })
	b.Links = links
	m.follow(&b)
	m.compare(&b)
	m.notice(&b)
	m.learn(&b)
	parts = m.cast(&b)
	for name, p := range parts {
		k := m.links[name]
		if p.Role == k.part.Role && p.Reason == k.part.Reason {
			p.Why = k.part.Why
			parts[name] = p
		}
		if p.Role != k.part.Role {
			m.changed, k.turned = b.At, b.At
		}
		k.part = p
	}
	return parts, m.again(&b)
}

// follow has a memory for each link, and none of those that are gone.
func (m *Mind) follow(b *Bundle) {
	was := m.links
	m.links = make(map[string]*memory, len(b.Links))
	for _, o := range b.Links {
		if m.links[o.Link] = was[o.Link]; m.links[o.Link] == nil {
			m.links[o.Link] = &memory{turned: b.At}
		}
		k := m.links[o.Link]
		if o.Up && !k.up {
			k.came = b.At
			k.leads = len(was) == 0 && leads(b, &o)
		}
		k.up = o.Up
	}
}

// cast gives out the parts, tier by tier, in the order of preference.
func (m *Mind) cast(b *Bundle) map[string]Part {
	parts := make(map[string]Part, len(b.Links))
	var carry []string // the links that carry traffic
	for t := first; t <= none; t++ {
		before := len(carry)
		for i := range b.Links {
			o := &b.Links[i]
			if m.tierOf(o) != t {
				continue
			}
			p := m.play(b, o, t, carry)
			if parts[o.Link] = p; p.Role == link.Full {
				carry = append(carry, o.Link)
			}
		}
		if len(carry) > before || t >= last {
			continue
		}
		if l := m.least(b, t, parts); l != "" && len(carry) == 0 {
			parts[l] = full(Alone, "no better link works")
			carry = append(carry, l)
		}
	}
	return parts
}

// play returns the part of a link in its tier, when the links in carry already carry.
func (m *Mind) play(b *Bundle, o *Observation, t tier, carry []string) Part {
	k := m.links[o.Link]
	if !t.opens() {
		k.shut(b.At)
	}
	if o.Up && o.Health == health.Dead {
		k.conduct.dies(b.At)
	}
	if t == none || t == last {
		k.conduct.excuse(b.At)
	}
	switch {
	case o.Mode == link.Off:
		return out(SetOff, "")
	case !o.Up:
		return out(Unusable, "")
	case o.Health == health.Dead:
		return out(Dead, o.Why)
	case m.unheard(b, o):
		return out(Unheard, o.Why)
	case t == last && len(carry) == 0:
		return full(Alone, "no better link works")
	case t == last && o.Mode == link.Backup:
		return standby(ByMode, "")
	case t == last:
		return standby(Spared, o.Spared)
	}
	wanted := full(Wanted, "")
	if t.opens() {
		if wanted = m.spill(b, o, t, carry); wanted.Role != link.Full {
			k.conduct.excuse(b.At)
			return wanted
		}
	}
	if p, ok := m.judge(b, o, m.others(b, o)); !ok {
		return p
	}
	return wanted
}

// others returns the links beside one that carry traffic now and will go on to.
func (m *Mind) others(b *Bundle, o *Observation) (names []string) {
	for i := range b.Links {
		other := &b.Links[i]
		k := m.links[other.Link]
		t := m.tierOf(other)
		if other.Link == o.Link || t > spared || k.conduct.state != taking || t.opens() && !k.overflow.open {
			continue
		}
		names = append(names, other.Link)
	}
	return names
}

// least returns which link of a tier to use if all of them are aside: one that is out
// for a moment only if there is no other.
func (m *Mind) least(b *Bundle, t tier, parts map[string]Part) (best string) {
	for i := range b.Links {
		switch o := &b.Links[i]; {
		case m.tierOf(o) != t:
		case parts[o.Link].Role == link.Standby:
			return o.Link
		case best == "":
			best = o.Link
		}
	}
	return best
}

// again returns when to look again.
func (m *Mind) again(b *Bundle) time.Duration {
	flows, waits, news, many, busy := false, false, false, 0, false
	for i := range b.Links {
		o := &b.Links[i]
		k := m.links[o.Link]
		if m.tierOf(o) == none {
			continue
		}
		news = news || m.unheard(b, o)
		if k.part.Role == link.Full {
			many++
		}
		busy = busy || k.full[down] || k.full[up]
		flows = flows || o.Sub.Down+o.Sub.Up >= someRate
		waits = waits || m.tierOf(o).opens() && !k.overflow.open || ails(o) && k.part.Role == link.Full ||
			k.conduct.state == judged || k.conduct.state == trying
	}
	switch {
	case flows && (busy && (waits || many > 1) || many > 1 && m.wanting != [directions]time.Duration{}):
		return quickly
	case news || flows && waits:
		return Soon
	}
	return usually
}

func full(r Reason, why string) Part    { return Part{link.Full, r, why} }
func standby(r Reason, why string) Part { return Part{link.Standby, r, why} }
func out(r Reason, why string) Part     { return Part{link.Out, r, why} }
