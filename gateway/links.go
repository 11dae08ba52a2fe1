package gateway

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"tributary/link"
)

// managed reports whether the kernel is told of the links.
func (g *Gateway) managed() bool {
	if g.config.Links == nil {
		return false
	}
	ok, _ := g.config.Links.Managing()
	return ok
}

// sources returns where a connection may start, best first: links that carry
// traffic before those that stand by, among them those that MPTCP passes, of these those
// in no doubt, and of these the one with the least round trip first. A link that was
// never heard comes last of its kind.
//
// Without link management there are no routes by source, so the routing table
// has to choose.
func (g *Gateway) sources(v6 bool) []source {
	if !g.managed() {
		return []source{{}}
	}
	type candidate struct {
		source
		rank  int
		rtt   time.Duration
		doubt bool
	}
	heard := g.flows.rtts()
	var all []candidate
	for _, l := range g.config.Links.Links() {
		for _, a := range l.Addrs {
			if !l.Usable() || a.Is6() != v6 {
				continue
			}
			apart := !slices.Contains(l.Joins, a) || g.passage.Verdict(a).Bad()
			c := candidate{source{l.Name, a, apart}, rank(l), time.Hour, g.upstream.doubts.avoided(a) || g.passage.Doubtful(a)}
			if rtt := heard[a]; rtt > 0 {
				c.rtt = rtt
			}
			all = append(all, c)
		}
	}
	slices.SortStableFunc(all, func(a, b candidate) int {
		if a.rank != b.rank {
			return a.rank - b.rank
		}
		if c := cmp.Or(after(a.apart, b.apart), after(a.doubt, b.doubt)); c != 0 {
			return c
		}
		return int(a.rtt/time.Millisecond) - int(b.rtt/time.Millisecond)
	})
	out := make([]source, len(all))
	for i, c := range all {
		out[i] = c.source
	}
	return out
}

// sixFirst reports whether connections are to begin by IPv6 where there is a choice.
func (g *Gateway) sixFirst() bool { return g.managed() && link.SixFirst(g.config.Links.Links()) }

// aim tells the links by which families the relay is reached, if that is known.
func (g *Gateway) aim() {
	places := g.upstream.places()
	if len(places) == 0 {
		return
	}
	if err := g.config.Links.OnlySix(!slices.ContainsFunc(places, netip.Addr.Is4)); err != nil {
		g.config.Log.Warn("links could not be followed", "err", err)
	}
}

// rank orders links by what they are for: those that carry traffic before those that
// stand by, and of these the ones that are dearest last.
func rank(l link.Link) int {
	switch {
	case l.Role == link.Full:
		return 0
	case l.Mode == link.On:
		return 1
	case l.Mode == link.Overflow:
		return 2
	}
	return 3
}

// doubtLag is the lag of a link over which no connection shall start.
const doubtLag = time.Minute

// lags returns how much longer a round trip takes over each local address than
// over the best one: a request that finds nothing on its way leaves by a
// connection's first subflow, and so does its answer.
func (g *Gateway) lags() map[netip.Addr]time.Duration {
	all := make(map[netip.Addr]time.Duration)
	if !g.managed() {
		return all
	}
	heard := g.flows.rtts()
	for _, v6 := range []bool{false, true} {
		sources := g.sources(v6)
		for _, s := range sources {
			all[s.addr] = max(0, heard[s.addr]-heard[sources[0].addr])
			if g.upstream.doubts.avoided(s.addr) {
				all[s.addr] = doubtLag
			}
		}
	}
	return all
}
