package link

import (
	"fmt"
	"net/netip"
	"slices"

	"tributary/mptcp/pm"
)

// NetworkManager and mptcpd make endpoints of their own, by default on every link. One
// for joining, at an address of a link of ours, is taken over, for it has to go when
// its link dies: as it is if it would be the same as ours, else it is made anew. It
// goes back to what it was when we end. Any other that is in the way, such as one
// that announces a server's address, is left alone.
func (p *plan) takeOver(o *observed, links []*candidate) {
	for _, c := range links {
		for _, s := range c.sources {
			is := slices.Contains(o.taken, s.addr)
			for _, e := range o.endpoints {
				if e.addr == s.addr && e.takeable() {
					p.taken = append(p.taken, e)
					is = true
				}
			}
			if is {
				c.note(fmt.Sprintf("another program had made %s an endpoint; it is taken over until this one ends", s.addr))
			}
		}
	}
}

func (e endpoint) takeable() bool {
	const joining = pm.Subflow | pm.Backup | pm.Fullmesh | pm.Laminar
	return !e.ours && !e.implicit && e.theirs&pm.Subflow != 0 && e.theirs&^joining == 0
}

// like reports whether f does exactly what e does.
func (e endpoint) like(f endpoint) bool {
	return e.same(f) && e.backup == f.backup && e.fullmesh == f.fullmesh && e.signal == f.signal && (e.theirs|f.theirs)&pm.Laminar == 0
}

// A takenEndpoint is what somebody else's endpoint was before it was taken over.
type takenEndpoint struct {
	ID    uint8      `json:"id"`
	Addr  netip.Addr `json:"addr"`
	Index int        `json:"index"`
	Flags pm.Flags   `json:"flags"`
}

// takes notes an endpoint of others that is about to be taken over.
func (j *journal) takes(e endpoint) (changed bool) {
	t := takenEndpoint{e.id, e.addr, e.index, e.theirs}
	if e.ours || slices.Contains(j.Taken, t) {
		return false
	}
	j.Taken = slices.DeleteFunc(j.Taken, func(old takenEndpoint) bool { return old.Addr == e.addr })
	j.Taken = append(j.Taken, t)
	return true
}

// giveBack returns the steps that give others their endpoints again, where the address
// is still there, and takes from steps the deletion of those that are as they were.
func (j *journal) giveBack(o *observed, steps []step) []step {
	for _, t := range j.Taken {
		if !o.has(t.Addr) {
			continue
		}
		asWas := func(e endpoint) bool { return e.addr == t.Addr && e.index == t.Index && e.theirs == t.Flags }
		if slices.ContainsFunc(o.endpoints, asWas) {
			steps = slices.DeleteFunc(steps, func(s step) bool {
				e, ok := s.item.(endpoint)
				return ok && e.addr == t.Addr
			})
			continue
		}
		steps = append(steps, step{verbRestore, endpoint{id: t.ID, addr: t.Addr, index: t.Index, dev: o.name(t.Index), theirs: t.Flags}})
	}
	return steps
}

func (o *observed) has(a netip.Addr) bool {
	return slices.ContainsFunc(o.devices, func(d device) bool {
		return slices.ContainsFunc(d.addrs, func(own address) bool { return own.addr == a })
	})
}

func (o *observed) name(index int) string {
	for _, d := range o.devices {
		if d.index == index {
			return d.name
		}
	}
	return ""
}
