package gateway

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"time"

	"tributary/bundle"
	"tributary/health"
	"tributary/history"
	"tributary/link"
	"tributary/mptcp"
)

// Chosen by us.
const (
	rejoinLook  = 2 * time.Second  // how often to look for connections that do without a link
	rejoinAfter = 15 * time.Second // for how long one must have done so: a join over a bad line takes as long
	rejoinAgain = time.Hour        // until a connection counts again that a renewal did not help
)

// rejoin has connections join again what they have lost.
func (g *Gateway) rejoin(now time.Time) {
	if now.Sub(g.rejoined) < rejoinLook {
		return
	}
	g.rejoined = now
	calm := true
	var links []link.Link
	for _, l := range g.config.Links.Links() {
		v := g.monitor.Verdict(l.Name)
		silent := v.State == health.Dead || v.State == health.Doubtful && (v.Reason == health.Missed || v.Reason == health.RelaySilent)
		calm = calm && !(silent && l.Usable())
		part, _ := g.steering.part(l.Name)
		shut := slices.ContainsFunc(l.Joins, func(a netip.Addr) bool { return g.passage.Verdict(a).Bad() })
		if l.State == link.Up && part.Role != link.Out && !shut {
			links = append(links, l)
		}
	}
	lacks := g.flows.lacks(links, now)
	name := g.renewals.Pick(lacks, calm, g.steering.looked, now)
	if name == "" {
		return
	}
	if err := g.config.Links.Renew([]string{name}); err != nil {
		g.config.Log.Warn("links could not be followed", "err", err)
		return
	}
	g.flows.renewed(name, now)
	n := lacks[name].Without
	g.config.Log.Info("connections that have lost a link join it again", "link", name, "connections", n)
	part, _ := g.steering.part(name)
	g.history.Add(history.Decision{
		At: now, By: "rejoin", Link: name, From: part.Role.String(), To: part.Role.String(), Reason: "rejoined",
		Why: fmt.Sprintf("connections without it while it works: %d", n),
	})
}

// lacks looks at which connections have which of the links, and counts.
func (f *flows) lacks(links []link.Link, now time.Time) map[string]bundle.Lack {
	links = links[:min(len(links), otherLink)]
	at := make(map[netip.Addr]int)
	for i, l := range links {
		for _, a := range l.Addrs {
			at[a] = i
		}
	}
	all := make([]bundle.Lack, len(links))
	f.each(func(_ *net.TCPConn, known *followed) { known.lack(links, at, now, all) })
	named := make(map[string]bundle.Lack, len(links))
	for i, l := range links {
		named[l.Name] = all[i]
	}
	return named
}

// otherLink is the place in a set of links for all that are not looked at.
const otherLink = 63

// lack adds to how a connection does without links, which are by address in at.
func (f *followed) lack(links []link.Link, at map[netip.Addr]int, now time.Time, all []bundle.Lack) {
	var has, over4, over6 uint64 // sets of links: those it has, and over which it reaches the relay by IPv4 and IPv6
	for _, s := range f.live {
		i, ok := at[s.Local.Addr()]
		if !ok {
			i = otherLink
		}
		switch s.State {
		case mptcp.SynSent:
			has |= 1 << i
		case mptcp.Established:
			has |= 1 << i
			if s.Remote.Addr().Is4() {
				over4 |= 1 << i
			} else {
				over6 |= 1 << i
			}
		}
	}
	for i, l := range links {
		own := uint64(1) << i
		// The kernel joins a link from addresses of a family in which another subflow is.
		may := slices.ContainsFunc(l.Joins, func(a netip.Addr) bool {
			return a.Is4() && over4&^own != 0 || a.Is6() && over6&^own != 0
		})
		since, counts := f.without[l.Name]
		switch {
		case f.plain || f.reach != reached:
			delete(f.without, l.Name)
		case has&own != 0, len(f.live) == 0: // or nobody has looked yet
			delete(f.without, l.Name)
			if !may {
				all[i].Alone++
			}
		case !may:
			delete(f.without, l.Name)
		case !counts:
			if f.without == nil {
				f.without = make(map[string]time.Time)
			}
			f.without[l.Name] = now
		case now.Sub(since) >= rejoinAfter:
			all[i].Without++
		}
	}
	maps.DeleteFunc(f.without, func(name string, _ time.Time) bool {
		return !slices.ContainsFunc(links, func(l link.Link) bool { return l.Name == name })
	})
}

// renewed notes that a link was renewed for all that do without it: those that it did not
// help count again after a long time.
func (f *flows) renewed(name string, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, known := range f.conns {
		if _, counts := known.without[name]; counts {
			known.without[name] = now.Add(rejoinAgain)
		}
	}
}
