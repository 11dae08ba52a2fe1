package gateway

import (
	"context"
	"net"
	"net/netip"

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
		Ports: []uint16{g.config.Relay.Port},
		Alive: func(name string) bool {
			return g.monitor != nil && g.monitor.Verdict(name).State == health.Alive
		},
		Dial: dial,
		Multipath: func(c net.Conn) bool {
			socket, ok := c.(*net.TCPConn)
			return ok && mptcp.IsMultipath(socket)
		},
		Log: g.config.Log,
	})
}

// passages returns the links that are up.
func (g *Gateway) passages() (all []passage.Link) {
	if g.config.Links == nil {
		return nil
	}
	for _, l := range g.config.Links.Links() {
		if l.State == link.Up {
			all = append(all, passage.Link{Name: l.Name, Addrs: l.Addrs, Metered: l.Metered})
		}
	}
	return all
}

// dialRelay connects to the relay: by MPTCP, save over a link that is known not to
// let it pass.
func (g *Gateway) dialRelay(ctx context.Context, from netip.Addr, to netip.AddrPort) (net.Conn, error) {
	return dial(ctx, from, to, !g.passage.Verdict(from).Plain())
}

// followPassage keeps the kernel from joining over links that do not let it, until
// ctx ends.
func (g *Gateway) followPassage(ctx context.Context) {
	for {
		changed := g.config.Links.Changed()
		select {
		case <-ctx.Done():
			return
		case <-changed:
			g.passage.Hurry()
			continue
		case <-g.passage.Changed():
		}
		why := map[netip.Addr]string{}
		for _, l := range g.config.Links.Links() {
			for _, a := range l.Addrs {
				if v := g.passage.Verdict(a); v.Bad() {
					why[a] = v.Why()
				}
			}
		}
		if err := g.config.Links.Bar(why); err != nil {
			g.config.Log.Warn("links could not be followed", "err", err)
		}
	}
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

// joinable counts the sources from which the kernel joins.
func joinable(all []source) (n int) {
	for _, s := range all {
		if !s.apart {
			n++
		}
	}
	return n
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
	var tried []source
	for _, s := range g.sources(to.Addr().Unmap().Is6()) {
		if g.passage.Trial(s.addr) {
			tried = append(tried, s)
		}
	}
	g.upstream.reportMissing(full, tried, to.Port())
}

// each calls f for every warm connection.
func (p *pool) each(f func(*relayConn)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range p.idle {
		f(w.relayConn)
	}
}
