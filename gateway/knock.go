package gateway

import (
	"context"
	"net"
	"net/netip"

	"tributary/mptcp"
	"tributary/splice"
)

// knock reports whether the relay answers by MPTCP from a local address. Plain TCP would
// not do: a portal that has closed a line answers that in the relay's place.
func (g *Gateway) knock(ctx context.Context, local netip.Addr, relay netip.AddrPort) bool {
	c, err := g.dial(ctx, local, netip.AddrPortFrom(relay.Addr(), g.upstream.portNow()), true)
	if err != nil {
		return false
	}
	socket, ok := c.(*net.TCPConn)
	ok = ok && mptcp.IsMultipath(socket)
	splice.Abort(c)
	return ok
}
