package gateway

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"tributary/health"
	"tributary/history"
	"tributary/link"
	"tributary/mptcp"
	"tributary/passage"
)

// Chosen by us.
const (
	rejoinLook  = 2 * time.Second  // how often to look for connections that do without a link
	rejoinAfter = 15 * time.Second // for how long one must have done so: a join over a bad line takes as long
	rejoinCalm  = 4 * time.Second  // for how long no link may have been silent, so that the others bear them
	rejoinRest  = time.Minute      // between two renewals of a link, twice as long each time,
	rejoinMost  = time.Hour        // but no more
)

// A rejoin is when a link's connections are to join it anew, because some have lost it:
// a network on the way has forgotten a subflow, say, or a join got lost. The kernel does
// not try a second time while the endpoint stands, and such a connection would die with
// its last link. A renewal costs all others a moment of this link, so it is made seldom,
// and only where each of them has another one.
type rejoin struct {
	calm time.Time     // since when no link is silent
	last time.Time     // a renewal
	rest time.Duration // from then on
}

// A lack is how many connections do without a link, for long, and how many have it alone.
type lack struct{ without, alone int }

// due takes what a look found, and reports whether the link is to be renewed now.
func (r *rejoin) due(l lack, calm bool, now time.Time) bool {
	if r.calm.IsZero() || !calm {
		r.calm = now
	}
	quiet := now.Sub(r.last)
	if l.without == 0 || l.alone > 0 || now.Sub(r.calm) < rejoinCalm || quiet < r.rest {
		return false
	}
	if r.last.IsZero() || quiet >= 2*r.rest+rejoinRest {
		r.rest = rejoinRest
	} else {
		r.rest = min(2*r.rest, rejoinMost)
	}
	r.last = now
	return true
}

// rejoin has connections join again what they have lost.
func (g *Gateway) rejoin(now time.Time) {
	if now.Sub(g.rejoined) < rejoinLook {
		return
	}
	g.rejoined = now
	links := g.config.Links.Links()
	calm := !slices.ContainsFunc(links, func(l link.Link) bool {
		v := g.monitor.Verdict(l.Name)
		return l.Usable() && (v.State == health.Dead || v.State == health.Doubtful && (v.Reason == health.Missed || v.Reason == health.RelaySilent))
	})
	for _, l := range links {
		part, _ := g.steering.part(l.Name)
		works := l.State == link.Up && part.Role != link.Out && len(l.Joins) > 0 &&
			!slices.ContainsFunc(l.Joins, func(a netip.Addr) bool { return g.passage.Verdict(a) != passage.OK })
		r := g.rejoins[l.Name]
		if r == nil {
			r = &rejoin{}
			g.rejoins[l.Name] = r
		}
		lack := g.flows.lack(l, works, now)
		if !r.due(lack, calm, now) {
			continue
		}
		g.config.Log.Info("connections that have lost a link join it again", "link", l.Name, "connections", lack.without)
		g.history.Add(history.Decision{
			At: now, By: "rejoin", Link: l.Name, From: part.Role.String(), To: part.Role.String(), Reason: "rejoined",
			Why: fmt.Sprintf("connections without it while it works: %d", lack.without),
		})
		g.flows.renewed(l)
		if err := g.config.Links.Renew([]string{l.Name}); err != nil {
			g.config.Log.Warn("links could not be followed", "err", err)
		}
	}
}

// lack looks at which connections have a link that works, and counts. One that did not
// join when the link was renewed is not counted, until it has.
func (f *flows) lack(l link.Link, works bool, now time.Time) (n lack) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, known := range f.conns {
		has, others, may := known.on(l)
		since, counts := known.without[l.Name]
		switch {
		case has || !works || !may:
			delete(known.without, l.Name)
			if has && !others {
				n.alone++
			}
		case !counts:
			if known.without == nil {
				known.without = make(map[string]time.Time)
			}
			known.without[l.Name] = now
		case !since.IsZero() && now.Sub(since) >= rejoinAfter:
			n.without++
		}
	}
	return n
}

// on reports whether a connection has a subflow over a link, or one on its way, and
// another one; and whether it may have one: for the kernel it needs an address of the
// same family as a living one, and to be open in both directions.
func (f *followed) on(l link.Link) (has, others, may bool) {
	if f.plain || len(f.live) == 0 {
		return !f.plain, false, false // nobody has looked yet
	}
	may = true
	family := false
	for _, s := range f.live {
		switch own := slices.Contains(l.Addrs, s.Local.Addr()); s.State {
		case mptcp.Established:
			has, others = has || own, others || !own
			family = family || slices.ContainsFunc(l.Joins, func(a netip.Addr) bool { return a.Is4() == s.Remote.Addr().Is4() })
		case mptcp.SynSent:
			has = has || own
		case mptcp.Close:
		default: // it is ending
			may = false
		}
	}
	return has, others, may && family
}

// renewed notes that a link was renewed for all that do without it.
func (f *flows) renewed(l link.Link) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, known := range f.conns {
		if _, counts := known.without[l.Name]; counts {
			known.without[l.Name] = time.Time{}
		}
	}
}
