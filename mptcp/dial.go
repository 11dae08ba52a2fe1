package mptcp

import (
	"context"
	"net"
	"net/netip"
	"time"
)

// Keepalive of all connections of this package. NATs forget an idle subflow
// after some minutes and the path manager does not open it again, so an idle
// connection has to be heard every minute, unless its owner knows better; probes go
// over every subflow. A dead path is given up after one minute more. PatientKeepAlive
// only finds out that a peer is gone. One side's probes do not stand for the other's:
// a side that hears a probe has heard nothing (measured on Linux 6.18).
const (
	DefaultKeepAlive  = 60 * time.Second
	PatientKeepAlive  = 15 * time.Minute
	keepAliveInterval = 15 * time.Second
	keepAliveCount    = 4
)

// A Dialer opens connections. The zero Dialer opens plain TCP connections, with
// TCP_NODELAY and keepalive on.
type Dialer struct {
	// Multipath asks for MPTCP. Where the kernel refuses MPTCP sockets the
	// connection is plain TCP, and [Supported] says why. Nothing else falls back:
	// a destination that refuses or does not answer is dialled once, whereas
	// net.Dialer tries it again with plain TCP after any error.
	//
	// The socket is IPv6 for an IPv4 destination too, since only such a socket can
	// take subflows of both families. Its addresses are IPv4 mapped into IPv6:
	// netip.AddrPort comparisons need Unmap. Its congestion control is what
	// [NewCongestion] says.
	Multipath bool
	// Local, if valid, is the source address, and thereby chooses the link of the
	// first subflow where routing goes by source.
	Local netip.Addr
	// Device binds to a network interface, the first subflow only (SO_BINDTODEVICE).
	// The kernel gives a socket that is not bound the port of one that is, as subflows
	// are whose endpoint names an interface.
	Device string
	// Mark, if not zero, is the mark of all packets of all subflows (SO_MARK),
	// which needs CAP_NET_ADMIN or CAP_NET_RAW.
	Mark uint32
	// KeepAlive is the idle time before probes: 0 is [DefaultKeepAlive], negative
	// is no keepalive. Whole seconds.
	KeepAlive time.Duration
	// Control, if set, is called with the socket before it connects. Its error
	// fails the dial.
	Control func(fd uintptr) error
}

// Dial connects to an address. Errors are *net.OpError as those of net.Dialer
// are: ECONNREFUSED, context.DeadlineExceeded and so on are found by errors.Is.
// There is no time limit but the context's and the kernel's (2 minutes or so).
func (d *Dialer) Dial(ctx context.Context, to netip.AddrPort) (*net.TCPConn, error) {
	c, err := d.dial(ctx, to)
	if err != nil {
		return nil, err
	}
	if err := SetKeepAlive(c, d.KeepAlive); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// SetKeepAlive sets how long a connection is idle before it is probed, with the
// meaning of [Dialer.KeepAlive].
func SetKeepAlive(c *net.TCPConn, idle time.Duration) error {
	return c.SetKeepAliveConfig(keepAlive(idle))
}

func keepAlive(idle time.Duration) net.KeepAliveConfig {
	if idle == 0 {
		idle = DefaultKeepAlive
	}
	return net.KeepAliveConfig{
		Enable:   idle > 0,
		Idle:     idle,
		Interval: keepAliveInterval,
		Count:    keepAliveCount,
	}
}
