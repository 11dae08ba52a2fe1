package gateway

import (
	"context"
	"net"
	"net/netip"
	"time"

	"tributary/mptcp"
)

// keepAlive is how long a connection to the relay may be silent before the
// kernel probes every subflow of it, so that no NAT forgets one: those of mobile
// networks were seen to forget after 30 s.
const keepAlive = 25 * time.Second

func dialMultipath(ctx context.Context, from netip.Addr, to netip.AddrPort) (net.Conn, error) {
	d := mptcp.Dialer{Multipath: true, Local: from, KeepAlive: keepAlive}
	c, err := d.Dial(ctx, to)
	if err != nil {
		return nil, err // not c: a nil *TCPConn is no nil Conn
	}
	return c, nil
}
