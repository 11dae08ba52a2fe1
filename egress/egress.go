// Package egress leaves towards final servers: it says what may be reached, and
// dials it.
//
// Names are resolved here, and the policy is applied to the addresses that come
// out, in every form in which one can hide another; then exactly the address
// that was checked is dialled. So a name that changes its answer (DNS rebinding)
// gains nothing.
package egress

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"tributary/egress/resolve"
	"tributary/proxy"
)

// DefaultConnectTimeout is the time for resolving and connecting together. SOCKS
// clients and browsers wait longer than this, so they hear our reason and not
// silence.
const DefaultConnectTimeout = 10 * time.Second

// A Config is what a [Dialer] is made from. The zero Config is good for a relay
// on the Internet.
type Config struct {
	// AllowPrivate lets private, loopback and link-local addresses and those of
	// this host be reached. Multicast, broadcast, unspecified and reserved ones
	// stay refused.
	AllowPrivate bool

	// Own are further addresses that lead to this host, beside those of its
	// interfaces: the public address of a host behind one-to-one NAT.
	Own []netip.Addr

	// Resolver resolves names; nil is a resolve.Resolver of this Dialer's own.
	Resolver resolver

	// ConnectTimeout is for resolving, connecting and writing the early data
	// together; 0 is DefaultConnectTimeout.
	ConnectTimeout time.Duration

	// Log hears of failed attempts at level debug; nil is silent.
	Log *slog.Logger
}

// A resolver is what *net.Resolver does; network is "ip4" or "ip6".
type resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// A Dialer opens plain TCP connections to final servers. It is a proxy.Dialer
// and may be used by many goroutines. It learns: where one IP version is dead, a
// name costs 250 ms more once, and 10 ms or nothing for an hour after.
type Dialer struct {
	allowPrivate bool
	resolver     resolver
	timeout      time.Duration
	log          *slog.Logger
	host         *host
	history      *history
	syns         *synMemory
	dial         func(ctx context.Context, to netip.AddrPort) (proxy.Conn, error)
	fast         func(ctx context.Context, to netip.AddrPort, early []byte) fast // nil on other systems than Linux
}

// New returns a Dialer.
func New(c Config) *Dialer {
	d := &Dialer{
		allowPrivate: c.AllowPrivate,
		resolver:     c.Resolver,
		timeout:      c.ConnectTimeout,
		log:          c.Log,
		host:         &host{extra: c.Own, interfaces: interfaceAddrs},
		history:      newHistory(),
		syns:         newSynMemory(),
		dial:         dialTCP,
		fast:         fastDial(),
	}
	if d.resolver == nil {
		d.resolver = resolve.New()
	}
	if d.timeout <= 0 {
		d.timeout = DefaultConnectTimeout
	}
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
	}
	return d
}

// DialStream connects to addr and writes early to it. The Conn is a bare
// *net.TCPConn, so that the kernel can splice it. Early should fit a socket
// buffer, some ten kilobytes; more waits for the final server to read it.
//
// Every error is a *proxy.Error, or the cause of ctx where the caller cancelled.
// When several addresses failed in several ways, it is the one that tells most.
func (d *Dialer) DialStream(ctx context.Context, addr proxy.Addr, early []byte) (proxy.Conn, error) {
	dialCtx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	c, sent, err := d.connect(dialCtx, addr, d.mayRide(early))
	if err == nil {
		if !sent {
			err = writeEarly(dialCtx, c, early)
		}
		if err == nil {
			return c, nil
		}
		c.Close()
	}
	if ctx.Err() != nil && errors.Is(ctx.Err(), context.Canceled) {
		err = context.Cause(ctx)
	}
	return nil, &proxy.Error{Reason: proxy.ReasonOf(err), Err: fmt.Errorf("connect to %v: %w", addr, err)}
}

// Check returns nil if ip may be reached, else a *proxy.Error that names the
// rule it falls under. For an IPv6 address that leads to an IPv4 host it
// considers both.
func (d *Dialer) Check(ip netip.Addr) error {
	var own []netip.Addr
	if !d.allowPrivate {
		var err error
		if own, err = d.host.addrs(); err != nil {
			return &proxy.Error{Reason: proxy.Failed, Err: err}
		}
	}
	if err := forbidden(ip, own, d.allowPrivate); err != nil {
		return &proxy.Error{Reason: proxy.NotAllowed, Err: err}
	}
	return nil
}

// connect returns a connection whose handshake has ended. Early is what may ride
// in a SYN, and sent whether it is written.
func (d *Dialer) connect(ctx context.Context, addr proxy.Addr, early []byte) (c proxy.Conn, sent bool, err error) {
	switch {
	case !addr.IsValid():
		return nil, false, &proxy.Error{Reason: proxy.AddressUnsupported, Err: errors.New("no host")}
	case addr.Port() == 0:
		return nil, false, &proxy.Error{Reason: proxy.NotAllowed, Err: errors.New("port 0 is not a port")}
	case addr.IsName():
		return d.race(ctx, addr, early)
	}
	if err := d.Check(addr.IP()); err != nil {
		return nil, false, err
	}
	c, sent, err = d.attempt(ctx, netip.AddrPortFrom(addr.IP(), addr.Port()), early)
	if err != nil && proxy.ReasonOf(err) == proxy.NetworkUnreachable && !d.host.has(addr.IP()) {
		return nil, false, &proxy.Error{Reason: proxy.AddressUnsupported, Err: fmt.Errorf("this host has no address of that family: %w", err)}
	}
	return c, sent, err
}

// writeEarly writes the early data, within the time of ctx.
func writeEarly(ctx context.Context, c proxy.Conn, early []byte) error {
	if len(early) == 0 {
		return nil
	}
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		c.SetWriteDeadline(time.Unix(1, 0))
	})
	_, err := c.Write(early)
	if !stop() {
		<-stopped
		if err == nil {
			err = ctx.Err()
		}
	}
	if err != nil {
		return fmt.Errorf("write early data: %w", err)
	}
	return nil
}
