package bundle

import (
	"cmp"
	"slices"

	"tributary/health"
	"tributary/link"
)

// A Mind decides, and remembers what it needs for that. The zero Mind is ready.
type Mind struct {
	links map[string]*memory
}

// A memory is what is remembered of a link.
type memory struct {
	part Part
}

// Decide returns the part that each link is to play, by name.
func (m *Mind) Decide(b Bundle) map[string]Part {
	if m.links == nil {
		m.links = make(map[string]*memory)
	}
	order := slices.Clone(b.Links)
	slices.SortStableFunc(order, func(a, b Observation) int { return cmp.Compare(a.Order, b.Order) })
	out := make(map[string]Part, len(order))
	for _, o := range order {
		if m.links[o.Link] == nil {
			m.links[o.Link] = &memory{}
		}
		out[o.Link] = byMode(o)
	}
	for name, p := range out {
		k := m.links[name]
		if p.Role == k.part.Role && p.Reason == k.part.Reason {
			p.Why = k.part.Why // the evidence when the reason arose
			out[name] = p
		}
		k.part = p
	}
	return out
}

// byMode returns the part of a link as its mode, its allowance and its health have it.
func byMode(o Observation) Part {
	switch {
	case o.Mode == link.Off:
		return Part{link.Out, SetOff, ""}
	case !o.Up:
		return Part{link.Out, Unusable, ""}
	case o.Health == health.Dead:
		return Part{link.Out, Dead, o.Why}
	case o.Mode == link.Backup:
		return Part{link.Standby, ByMode, ""}
	case o.Thrift == Last:
		return Part{link.Standby, Spared, o.Spared}
	case o.Thrift == Spare:
		return Part{link.Standby, NotNeeded, o.Spared}
	case o.Mode == link.Overflow:
		return Part{link.Standby, NotNeeded, ""}
	}
	return Part{link.Full, Wanted, ""}
}
