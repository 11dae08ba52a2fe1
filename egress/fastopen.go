package egress

import (
	"context"
	"net"
	"net/netip"
	"time"

	"tributary/proxy"
)

// mostSYN is how much data goes into a SYN on any ordinary path: 1420 bytes over
// IPv4 and 1400 over IPv6 on Linux 6.18, with an MTU of 1500. A longer hello gains
// nothing, as the server waits for all of it.
const mostSYN = 1400

// A fast is what became of an attempt with TCP Fast Open.
type fast struct {
	conn     proxy.Conn // the handshake has ended
	err      error
	data     bool // the SYN had data
	sent     bool // the early data is written
	accepted bool // the server took the SYN's data
	lost     bool // the SYN was answered when it was sent again, without option and data
}

// mayRide returns early where it may ride in a SYN, else nil: see [replaySafe].
func (d *Dialer) mayRide(early []byte) []byte {
	if d.fast == nil || len(early) > mostSYN || !replaySafe(early) {
		return nil
	}
	return early
}

// open dials one address. Early data that may ride in the SYN saves a round trip
// where the server takes it (RFC 7413); nil is an ordinary connect. What open
// returns is a connection whose handshake has ended, in either case. Sent says
// that the early data is written.
//
// A reset of a SYN with data may come from a middlebox, so it is followed by an
// ordinary connect. One of a SYN that only asks for a cookie is believed, since
// ports that refuse are common and middleboxes that do so are not; the next
// connect there is ordinary.
func (d *Dialer) open(ctx context.Context, to netip.AddrPort, early []byte) (c proxy.Conn, sent bool, err error) {
	if early == nil || !d.syns.may(to.Addr()) {
		c, err = d.dial(ctx, to)
		return c, false, err
	}
	begun := time.Now()
	f := d.fast(ctx, to, early)
	switch {
	case f.err == nil && f.lost:
		d.log.Debug("a SYN with Fast Open was lost", "to", to)
		d.syns.learn(to.Addr(), from(f.conn), f.data, synLost)
	case f.err == nil:
		d.syns.learn(to.Addr(), from(f.conn), f.data, synAnswered)
	case ctx.Err() != nil:
		if time.Since(begun) >= attemptDelay {
			d.syns.learn(to.Addr(), netip.Addr{}, f.data, synDoubtful)
		}
	case proxy.ReasonOf(f.err) != proxy.Refused:
	case f.data:
		c, err = d.dial(ctx, to)
		if err == nil {
			d.log.Debug("a SYN with Fast Open was refused", "to", to, "err", f.err)
			d.syns.learn(to.Addr(), from(c), true, synLost)
		}
		return c, false, err
	default:
		d.syns.learn(to.Addr(), netip.Addr{}, false, synDoubtful)
	}
	return f.conn, f.sent, f.err
}

// from returns the address from which a connection leaves: where this host has
// several lines, it names the line.
func from(c proxy.Conn) netip.Addr {
	a, _ := c.LocalAddr().(*net.TCPAddr)
	if a == nil {
		return netip.Addr{}
	}
	return a.AddrPort().Addr().Unmap()
}

// source asks the routing table from which address a connection would leave.
func source(to netip.Addr) netip.Addr {
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(to, 443))) // sends nothing
	if err != nil {
		return netip.Addr{}
	}
	defer c.Close()
	a, _ := c.LocalAddr().(*net.UDPAddr)
	return a.AddrPort().Addr().Unmap()
}
