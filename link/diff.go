package link

import "slices"

// The verbs of steps, as ip(8) has them.
const (
	verbAdd     = "add"
	verbReplace = "replace"
	verbDel     = "del"
	verbDelete  = "delete" // of an endpoint
	verbChange  = "change" // of an endpoint's flags
	verbSet     = "set"
	verbAdopt   = "adopt"   // an endpoint that others made, as it is
	verbRestore = "restore" // an endpoint that others had made
)

// A step is one change of the kernel.
type step struct {
	verb string
	item item
}

func (s step) String() string { return s.item.line(s.verb) }

// waits reports whether a step is only right by the routes of now.
func (s step) waits() bool {
	_, ok := s.item.(endpoint)
	return !ok || s.verb != verbDelete && s.verb != verbChange
}

// diff returns the steps that lead from what is there to the plan. Endpoints of
// lost links go first, for traffic waits on them; new endpoints come last, for
// the kernel joins at once and the routes must be right by then.
func diff(o *observed, p *plan) (steps []step) {
	do := func(verb string, it item) { steps = append(steps, step{verb, it}) }
	for _, e := range o.endpoints {
		switch taken := slices.ContainsFunc(p.taken, e.same); {
		case !e.ours && !taken:
		case !slices.ContainsFunc(p.endpoints, e.same), taken && !slices.ContainsFunc(p.endpoints, e.like):
			do(verbDelete, e)
		case taken:
			do(verbAdopt, e)
		}
	}
	for _, e := range p.endpoints {
		i := slices.IndexFunc(o.endpoints, e.same)
		if i < 0 || !o.endpoints[i].ours {
			continue
		}
		// Changing fullmesh ends subflows: it stays where it does no harm.
		is := o.endpoints[i]
		e.fullmesh = e.fullmesh || is.fullmesh
		if is.backup != e.backup || is.fullmesh != e.fullmesh {
			do(verbChange, e)
		}
	}
	for _, s := range p.sysctls {
		do(verbSet, s)
	}
	if l := o.limits.raisedTo(p.limits); l != o.limits {
		do(verbSet, l)
	}
	missing(p.routes, o.routes, verbReplace, do)
	missing(p.rules, o.rules, verbAdd, do)
	missing(o.rules, p.rules, verbDel, do)
	missing(o.routes, p.routes, verbDel, do)
	for _, e := range p.endpoints {
		if !slices.ContainsFunc(o.endpoints, func(f endpoint) bool {
			return e.same(f) && (f.ours || slices.ContainsFunc(p.taken, f.same) && f.like(e))
		}) {
			do(verbAdd, e)
		}
	}
	return steps
}

// missing does verb to each of want that is not in have.
func missing[T interface {
	comparable
	item
}](want, have []T, verb string, do func(string, item)) {
	for _, w := range want {
		if !slices.Contains(have, w) {
			do(verb, w)
		}
	}
}
