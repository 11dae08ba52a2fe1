package gateway

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"tributary/bundle"
	"tributary/health"
	"tributary/link"
	"tributary/mptcp"
)

// newMonitor makes what watches the links. Without links of ours there is nothing
// to be done about what it would see.
func (g *Gateway) newMonitor() *health.Monitor {
	if g.config.Links == nil {
		return nil
	}
	return health.New(health.Config{
		Secret: g.config.Relay.Secret, Relay: g.upstream.known, Links: g.probed, LastHeard: g.lastHeard, Knock: g.knock,
		Decided: g.healthDecided, Log: g.config.Log,
	})
}

// known returns where the relay is to be probed, as far as it needs no resolver.
func (u *upstream) known() (all []netip.AddrPort) {
	for _, a := range u.places() {
		for _, port := range u.to.Ports() {
			all = append(all, netip.AddrPortFrom(a, port))
		}
	}
	return all
}

// probed returns the links that lead somewhere, as far as the kernel knows.
func (g *Gateway) probed() (all []health.Link) {
	if !g.managed() {
		return nil
	}
	for _, l := range g.config.Links.Links() {
		if l.State == link.Up || l.State == link.Silent {
			all = append(all, health.Link{Name: l.Name, Addrs: l.Addrs, Metered: l.Metered})
		}
	}
	return all
}

// linkAt returns the name of the link with an address, or "".
func (g *Gateway) linkAt(a netip.Addr) string {
	for _, l := range g.config.Links.Links() {
		for _, own := range l.Addrs {
			if own == a {
				return l.Name
			}
		}
	}
	return ""
}

// lastHeard returns when the relay was last heard over a link by a subflow.
func (g *Gateway) lastHeard(name string) (at time.Time) {
	for _, l := range g.config.Links.Links() {
		if l.Name == name {
			at = g.flows.heard(l.Addrs)
		}
	}
	return at
}

// heard returns when something was last received over any of these local addresses, by
// the subflows of now; zero if there are none.
func (f *flows) heard(over []netip.Addr) (at time.Time) {
	// A dead link is asked about often, and most of a thousand connections have left it.
	for _, c := range f.sockets(func(known *followed) bool { return known.uses(over) }) {
		full, err := mptcp.FullInfo(c)
		if err != nil {
			continue
		}
		for _, s := range full.Subflows {
			if s.State != mptcp.Established || !slices.Contains(over, s.Local.Addr()) {
				continue
			}
			if heard := time.Now().Add(-min(s.LastDataRecv, s.LastAckRecv)); heard.After(at) {
				at = heard
			}
		}
	}
	return at
}

// uses reports whether a connection may have a subflow from one of these addresses, by
// the last look.
func (f *followed) uses(addrs []netip.Addr) bool {
	for _, s := range f.live {
		if slices.Contains(addrs, s.Local.Addr()) {
			return true
		}
	}
	return len(f.live) == 0 // nobody has looked yet
}

// watchLinks tells the monitor what the links carry, and the kernel which part each
// of them is to play, until ctx ends.
func (g *Gateway) watchLinks(ctx context.Context) {
	tick := time.NewTimer(sampleEvery)
	defer tick.Stop()
	var begun time.Time // a session, since the last look
	for looked := time.Now(); ; {
		changed := g.config.Links.Changed()
		select {
		case <-ctx.Done():
			g.config.Links.Steer(nil)
			return
		case <-g.monitor.Changed():
			g.apply()
		case <-changed:
			g.monitor.Hurry("")
			g.apply()
		case <-g.begun:
			if begun.IsZero() {
				begun = time.Now()
			}
		case <-tick.C:
			if looked = g.look(); looked.Sub(begun) >= bundle.Soon {
				begun = time.Time{} // else nothing of it can have been seen
			}
			g.apply()
		}
		// An event may make it urgent, and no row of them puts it off.
		tick.Reset(time.Until(nextLook(looked, begun, g.steering.again, g.steering.took)))
	}
}

// nextLook returns when to look, after a look that took so long, and when to do it
// again was said; begun is when the first session since then began, if one did.
func nextLook(looked, begun time.Time, again, took time.Duration) time.Time {
	next := looked.Add(max(again, lookCost*took))
	if early := begun.Add(max(bundle.Soon, beginCost*took)); !begun.IsZero() && early.Before(next) {
		return early
	}
	return next
}

// lookCost is how many times as long as a look takes the next one has to wait: with
// thousands of connections a look takes milliseconds.
const lookCost = 100

// beginCost is the same after a session has begun, for what a look decides about its
// first second.
const beginCost = 20

// look has the connections sampled, and tells the monitor what the links carry.
func (g *Gateway) look() (now time.Time) {
	now = time.Now()
	g.flows.look()
	links := g.config.Links.Links()
	g.owners.note(links)
	g.flows.fold(links, &g.owners)
	b, bytes := g.flows.take(links, now)
	for name, n := range bytes {
		if n > 0 {
			g.monitor.Busy(name, n)
		}
	}
	g.steering.last, g.steering.looked, g.steering.took = b, now, time.Since(now)
	return now
}

// suspect has a link looked at on which a request waits.
func (g *Gateway) suspect(a netip.Addr) {
	if g.monitor != nil {
		g.monitor.Suspect(g.linkAt(a))
	}
}

// apply acts on what is known now: over a doubtful link requests do not go alone, and
// each link plays its part.
func (g *Gateway) apply() {
	g.aim()
	g.revive(time.Now())
	g.rejoin(time.Now())
	g.doubt()
	g.steer()
}

// doubt keeps requests from going alone over the links that the monitor doubts, for
// a little longer than until the next call.
func (g *Gateway) doubt() {
	for _, l := range g.probed() {
		v := g.monitor.Verdict(l.Name)
		if v.State != health.Doubtful {
			continue
		}
		tell := g.upstream.doubts.avoid
		if v.Reason == health.Missed || v.Reason == health.RelaySilent {
			tell = g.upstream.doubts.cast // it may be the host that is busy, or the relay
		}
		for _, a := range l.Addrs {
			tell(a, sampleEvery+sampleEvery/2)
		}
	}
}
