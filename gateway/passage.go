package gateway

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"time"

	"tributary/health"
	"tributary/link"
	"tributary/mptcp"
	"tributary/passage"
)

// newPassage makes what finds out whether MPTCP passes the links.
func (g *Gateway) newPassage() *passage.Monitor {
	return passage.New(passage.Config{
		Links: g.passages,
		Relay: func() (all []netip.Addr) {
			if g.managed() {
				all = g.upstream.places()
			}
			return all
		},
		Ports: g.config.Relay.Ports(),
		Alive: func(name string) bool {
			return g.monitor != nil && g.monitor.Verdict(name).State == health.Alive
		},
		Dial: g.dial,
		Multipath: func(c net.Conn) bool {
			socket, ok := c.(*net.TCPConn)
			return ok && mptcp.IsMultipath(socket)
		},
		Decided: g.passageDecided,
		Log:     g.config.Log,
	})
}

// passages returns the links that are up.
func (g *Gateway) passages() (all []passage.Link) {
	if g.config.Links == nil {
		return nil
	}
	for _, l := range g.config.Links.Links() {
		if l.State == link.Up {
			all = append(all, passage.Link{Name: l.Name, Addrs: l.Addrs, Metered: l.Metered, Via: [2]netip.Addr{l.Gateway4, l.Gateway6}})
		}
	}
	return all
}

// dialRelay connects to the relay: by MPTCP, save over a link that is known not to
// let it pass.
func (g *Gateway) dialRelay(ctx context.Context, from netip.Addr, to netip.AddrPort) (net.Conn, error) {
	return g.dial(ctx, from, to, !g.passage.Verdict(from).Plain())
}

// How long after the last sign of life over a link that lets no new subflow pass those
// that stand are kept, and how often to look.
const (
	standTime = 10 * time.Second
	standLook = 2 * time.Second
)

// followPassage keeps the kernel from joining over links that do not let it, until
// ctx ends.
func (g *Gateway) followPassage(ctx context.Context) {
	var again <-chan time.Time
	for {
		news := false
		changed := g.config.Links.Changed()
		select {
		case <-ctx.Done():
			return
		case <-changed:
			g.passage.Hurry()
			continue
		case <-g.passage.Changed():
			news = true
		case <-again:
		}
		links := g.config.Links.Links()
		why := g.barred(links)
		if again = nil; g.stand(why) {
			again = time.After(standLook)
		}
		if err := g.config.Links.Bar(why); err != nil {
			g.config.Log.Warn("links could not be followed", "err", err)
		}
		if news {
			g.pool.anew()
		}
	}
}

// anew looks through the pool: at once, whatever became of that before, connections are
// replaced that lack a link.
func (p *pool) anew() {
	p.mu.Lock()
	p.scouts, p.renewals = pace{}, pace{}
	p.mu.Unlock()
	p.check(p.subflows)
}

// stand takes out of why the addresses whose subflows of before still carry something,
// and reports whether there are any: to take the endpoint away would end them, and
// that new ones do not come costs nobody but a few packets.
func (g *Gateway) stand(why map[netip.Addr]string) (any bool) {
	if len(why) == 0 {
		return false
	}
	for a := range g.flows.standing() {
		if _, bad := why[a]; bad && g.passage.Verdict(a) != passage.Stripped {
			delete(why, a)
			any = true
		}
	}
	return any
}

// standing returns the local addresses of MPTCP subflows over which something came of
// late.
func (f *flows) standing() map[netip.Addr]bool {
	all := make(map[netip.Addr]bool)
	for _, c := range f.sockets(func(*followed) bool { return true }) {
		full, err := mptcp.FullInfo(c)
		if err != nil || full.Fallback {
			continue
		}
		for _, s := range full.Subflows {
			if s.State == mptcp.Established && min(s.LastDataRecv, s.LastAckRecv) < standTime {
				all[s.Local.Addr()] = true
			}
		}
	}
	return all
}

// barred returns the addresses over which MPTCP does not pass, and why for people. If
// that is all of several links in the same way, it is hardly the links.
func (g *Gateway) barred(links []link.Link) map[netip.Addr]string {
	why := map[netip.Addr]string{}
	strip, others := 0, 0
	for _, l := range links {
		for _, a := range l.Addrs {
			if v := g.passage.Verdict(a); v.Bad() {
				why[a] = v.Why()
			}
		}
		switch {
		case g.passageOf(l) == passage.Stripped:
			strip++
		case l.Usable():
			others++
		}
	}
	for a := range why {
		if strip > 1 && others == 0 {
			why[a] = "plain TCP, as over every link: it seems that the relay has no MPTCP"
		}
	}
	return why
}

// passageOf returns what is known of a link: the best of its addresses, for the link
// takes part if one of them does.
func (g *Gateway) passageOf(l link.Link) (best passage.Verdict) {
	for _, a := range l.Addrs {
		if v := g.passage.Verdict(a); best == passage.Unknown || v == passage.OK {
			best = v
		}
	}
	return best
}

// reportTrials tells of links that are tried again, and that a connection which has
// had the time has not joined.
func (g *Gateway) reportTrials(c *relayConn) {
	if c.socket == nil {
		return
	}
	full, err := mptcp.FullInfo(c.socket)
	if err != nil || full.Fallback {
		return
	}
	to, _ := netip.ParseAddrPort(c.RemoteAddr().String())
	now, _ := g.upstream.expected(to, full)
	now = slices.DeleteFunc(now, func(s source) bool { return !g.passage.Trial(s.addr) || !rejoins(s.addr, to) })
	g.upstream.reportMissing(to, full, now)
}

// each calls f for every warm connection.
func (p *pool) each(f func(*relayConn)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range p.idle {
		f(w.relayConn)
	}
}

// wakeTime is for how long a link that has just come may not answer at all: its neighbours
// are asked for, or its addresses tried (RFC 4861, RFC 4862). Chosen by us.
const wakeTime = 3 * time.Second

// testify tells what a new connection met on a link. That nothing joined over one which
// has just come, and was never heard, says nothing of MPTCP.
func (g *Gateway) testify(local netip.Addr, port uint16, e passage.Evidence) {
	state := func(name string) health.State { return g.monitor.Verdict(name).State }
	if e == passage.Missed && g.monitor != nil && wakes(g.config.Links.Links(), local, state, time.Now()) {
		return
	}
	g.passage.Tell(local, port, e)
}

// wakes reports whether an address is that of a link which has just come and was not heard.
func wakes(links []link.Link, local netip.Addr, state func(string) health.State, now time.Time) bool {
	return slices.ContainsFunc(links, func(l link.Link) bool {
		return slices.Contains(l.Addrs, local) && now.Sub(l.Since) < wakeTime && state(l.Name) == health.Unknown
	})
}
