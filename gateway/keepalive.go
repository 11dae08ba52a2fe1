package gateway

import (
	"context"
	"net"
	"net/netip"
	"time"

	"tributary/mptcp"
)

// How long a connection to the relay may be silent before the kernel probes every
// subflow of it, so that no NAT forgets one.
const (
	// keepAlive is that of connections that carry something.
	keepAlive = 25 * time.Second

	// poolProbe is that of warm connections. RFC 5382 (REQ-5) has NATs remember TCP
	// connections for two hours; some remember them for 5 minutes. A probe and its
	// answer are 128 bytes on each link (measured on Linux 6.18): 8 connections
	// take 0.74 MB a day, and with keepAlive would take 3.5 MB.
	poolProbe = 2 * time.Minute

	// wornTime is how long warm connections are probed after keepAlive when one of
	// them has lost a subflow without a cause that is known.
	wornTime = 24 * time.Hour
)

// toRelay is what connects to the relay from an address of a link, or from any. It binds
// to the link, as the kernel does what it joins: where only one of two sockets is bound,
// the kernel gives both the same port, and the relay resets the one that was there.
func (g *Gateway) toRelay(from netip.Addr, multipath bool) mptcp.Dialer {
	d := mptcp.Dialer{Multipath: multipath, Local: from, KeepAlive: keepAlive}
	if from.IsValid() && g.config.Links != nil {
		d.Device = g.linkAt(from)
	}
	return d
}

func (g *Gateway) dial(ctx context.Context, from netip.Addr, to netip.AddrPort, multipath bool) (net.Conn, error) {
	d := g.toRelay(from, multipath)
	c, err := d.Dial(ctx, to)
	if err != nil {
		return nil, err // not c: a nil *TCPConn is no nil Conn
	}
	return c, nil
}

// probeEvery sets how long a connection may be silent. That it fails means that
// the connection is dead, which others see.
func (c *relayConn) probeEvery(d time.Duration) {
	if c.socket != nil {
		mptcp.SetKeepAlive(c.socket, d)
	}
}

// probe returns how often warm connections are to be probed now.
func (p *pool) probe() time.Duration {
	if !p.worn.IsZero() && time.Since(p.worn) < wornTime {
		return keepAlive
	}
	return poolProbe
}
