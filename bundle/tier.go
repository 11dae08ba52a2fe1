package bundle

import (
	"tributary/health"
	"tributary/link"
)

// A tier is a rank of links: those of the next are used when the tier is full or gone.
type tier int

const (
	first   tier = iota // used whenever they work
	distant             // used while those before are full, for they are far
	spared              // the same, for they cost
	last                // used if no other works
	none
)

// tierOf returns the rank of a link.
func (m *Mind) tierOf(o *Observation) tier {
	switch {
	case !o.Up, o.Mode == link.Off, o.Health == health.Dead:
		return none
	case o.Mode == link.Backup, o.Thrift == Last:
		return last
	case o.Mode == link.Overflow, o.Thrift == Spare:
		return spared
	case m.links[o.Link].far != "":
		return distant
	}
	return first
}

// opens reports whether links of a tier are used only while those before are full.
func (t tier) opens() bool { return t == distant || t == spared }
