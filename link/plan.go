package link

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
)

// A plan is all that the kernel is to hold for us. Of the sysctls it names only
// those that are not right already.
type plan struct {
	sysctls   []sysctl
	limits    limits
	routes    []route
	rules     []rule
	endpoints []endpoint
	taken     []endpoint // of others, that are not to stay as they are theirs
	links     []Link     // what the plan means to a person; without Since
}

// lines returns the plan as commands, in the order in which they would work.
func (p *plan) lines() (lines []string) {
	for _, s := range p.sysctls {
		lines = append(lines, s.line(""))
	}
	lines = append(lines, p.limits.line("set"))
	for _, r := range p.routes {
		lines = append(lines, r.line("replace"))
	}
	for _, r := range p.rules {
		lines = append(lines, r.line("add"))
	}
	for _, e := range p.endpoints {
		lines = append(lines, e.line("add"))
	}
	return lines
}

// A planner makes plans. Its only state is what it remembers of gateways.
type planner struct {
	wanted    []Wanted
	relay     bool // of Config
	announces bool // of Config
	memory    memory
	parts     map[string]Part // by name; those not in it play what their mode says
	barred    map[netip.Addr]string
	// leaving are links that stand by, whatever else is said of them.
	leaving  []string
	onlySix  bool     // the relay has no IPv4
	renewing []string // links without an endpoint for a moment
}

// A candidate is a link on its way into the plan.
type candidate struct {
	Link
	dev     *device
	metric  int
	sources []source // IPv4 first
}

// A source is an address of a link with its way out.
type source struct {
	address
	hop nextHop
}

// plan turns an observation into what the kernel is to hold.
func (pl *planner) plan(o *observed) *plan {
	pl.memory.update(o)
	p := &plan{}
	var links []*candidate
	if !pl.relay {
		links = pl.candidates(o)
	}
	taken := map[netip.Addr]string{}
	inUse := 0
	// Of two links with one address, the one that works has it.
	for _, working := range []bool{true, false} {
		for _, c := range links {
			if working == (c.dev != nil && c.dev.up && c.dev.carrier) {
				c.judge(o, pl.memory, taken)
			}
		}
	}
	for i, c := range links {
		c.Order = i
		c.play(pl.parts)
		c.leave(pl.leaving)
		c.renew(pl.renewing)
		if c.Mode != Off {
			inUse++
		}
		if c.Table != 0 {
			p.route(c)
		}
	}
	p.takeOver(o, links)
	apart := p.chooseEndpoints(o, links, pl.onlySix || sixFirst(links), pl.barred)
	if pl.relay {
		inUse, apart = maxEndpoints, true
	}
	if pl.announces {
		p.announce(o)
	}
	p.limits = wantedLimits(o.base, inUse, apart)
	p.sysctls = wantedSysctls(o.sysctls, links, pl.relay, pl.announces)
	for _, c := range links {
		p.links = append(p.links, c.Link)
	}
	slices.SortFunc(p.links, func(a, b Link) int { return cmp.Compare(a.Name, b.Name) })
	return p
}

// candidates returns the links, the more important first: as they were named,
// or as the main table prefers them.
func (pl *planner) candidates(o *observed) (links []*candidate) {
	for _, w := range pl.wanted {
		links = append(links, &candidate{Link: Link{Name: w.Name, Mode: w.Mode, Metered: w.Charge.metered(w.Name)}, dev: o.device(w.Name)})
	}
	if len(pl.wanted) > 0 {
		return links
	}
	for i := range o.devices {
		d := &o.devices[i]
		if d.loopback || d.tunnel {
			continue
		}
		c := &candidate{Link: Link{Name: d.name, Metered: ByName.metered(d.name)}, dev: d}
		h4, ok4 := o.hop(d.index, false)
		h6, ok6 := o.hop(d.index, true)
		switch {
		case ok4:
			c.metric = h4.metric
		case ok6:
			c.metric = h6.metric
		case !pl.memory.knows(d):
			continue
		default:
			c.metric = int(^uint(0) >> 1)
		}
		links = append(links, c)
	}
	slices.SortFunc(links, func(a, b *candidate) int {
		return cmp.Or(cmp.Compare(a.metric, b.metric), cmp.Compare(a.Name, b.Name))
	})
	return links
}

// judge finds out how far a link is from being usable. A link that merely lost
// its carrier keeps rules and routes, as it does in the main table: without them
// its connections would leave by another link, from an address that does not
// belong there.
func (c *candidate) judge(o *observed, m memory, taken map[netip.Addr]string) {
	switch {
	case c.dev == nil:
		c.State = Absent
		return
	case c.Mode == Off:
		c.Index, c.State = c.dev.index, Disabled
		return
	}
	c.Index = c.dev.index
	addressed := c.findSources(o, m, taken)
	if table := TableBase + c.Index; o.foreign[table] {
		c.note(fmt.Sprintf("routing table %d holds routes that others made; it is left as it is", table))
		c.sources = nil
	}
	if c.dev.up && len(c.sources) > 0 {
		c.Table = TableBase + c.Index
		for _, s := range c.sources {
			c.Addrs = append(c.Addrs, s.addr)
		}
	}
	switch {
	case !c.dev.up:
		c.State, c.Note = Down, "switched off"
	case !c.dev.carrier:
		c.State, c.Note = Down, "no carrier"
	case !addressed:
		c.State = NoAddress
	case len(c.sources) == 0:
		c.State = NoRoute
	}
}

func (c *candidate) findSources(o *observed, m memory, taken map[netip.Addr]string) (addressed bool) {
	for _, ipv6 := range []bool{false, true} {
		a, ok := c.dev.source(ipv6, m[c.dev.index][ipv6].src.addr)
		if !ok {
			continue
		}
		if other, dup := taken[a.addr]; dup {
			c.note(fmt.Sprintf("%s is also the address of %s, so it cannot be used here", a.addr, other))
			continue
		}
		addressed = true
		h, ok := o.hop(c.dev.index, ipv6)
		if !ok {
			if h, ok = m.recall(c.dev, a); !ok {
				continue
			}
			c.note(fmt.Sprintf("no default route yet, using the last gateway %s", h.gateway))
		}
		taken[a.addr] = c.Name
		c.sources = append(c.sources, source{a, h})
		if ipv6 {
			c.Gateway6 = h.gateway
		} else {
			c.Gateway4 = h.gateway
		}
	}
	return addressed
}

func (c *candidate) note(s string) {
	if c.Note != "" {
		c.Note += "; "
	}
	c.Note += s
}

// route adds a link's table and the rules that lead to it. The default route
// comes last: its gateway must be reachable first.
func (p *plan) route(c *candidate) {
	for _, s := range c.sources {
		r := route{table: c.Table, index: c.Index, dev: c.Name}
		if s.net.IsValid() && s.net.Bits() > 0 {
			r.dst = s.net
			p.routes = append(p.routes, r)
		}
		r.dst = netip.PrefixFrom(netip.IPv4Unspecified(), 0)
		if s.addr.Is6() {
			r.dst = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
		}
		r.via, r.onlink = s.hop.gateway, s.hop.onlink
		p.routes = append(p.routes, r)
		p.rules = append(p.rules,
			rule{priority: RuleLocal, from: s.addr, table: mainTable, specific: true},
			rule{priority: RuleLink, from: s.addr, table: c.Table})
	}
}
