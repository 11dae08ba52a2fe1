package egress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"tributary/proxy"
)

// dialTCP connects to exactly that address, by TCP. Multipath is switched off in
// so many words: Go's default may change, and a final server of the plain kind
// is what the relay is for.
func dialTCP(ctx context.Context, to netip.AddrPort) (proxy.Conn, error) {
	var d net.Dialer
	d.SetMultipathTCP(false)
	c, err := d.DialContext(ctx, "tcp", to.String())
	if err != nil {
		return nil, err
	}
	return c.(*net.TCPConn), nil
}

// attempt dials one address and gives a failure its reason. Early is what may ride
// in the SYN, and sent whether it is written.
func (d *Dialer) attempt(ctx context.Context, to netip.AddrPort, early []byte) (c proxy.Conn, sent bool, err error) {
	c, sent, err = d.open(ctx, to, early)
	if err == nil && !d.allowPrivate && sameHost(c) {
		c.Close()
		return nil, false, &proxy.Error{Reason: proxy.NotAllowed, Err: fmt.Errorf("%v is not to be reached: this host answers there", to.Addr())}
	}
	if err == nil {
		return c, sent, nil
	}
	d.log.Debug("attempt failed", "to", to, "err", err)
	return nil, false, &proxy.Error{Reason: d.reason(to.Addr(), err), Err: err}
}

// sameHost reports whether both ends have one IP address, as the kernel arranges
// it when a host calls itself. That finds addresses which no interface shows: one
// gained a moment ago, and whole prefixes routed to this host (type local).
func sameHost(c proxy.Conn) bool {
	here, ok1 := c.LocalAddr().(*net.TCPAddr)
	there, ok2 := c.RemoteAddr().(*net.TCPAddr)
	return ok1 && ok2 && here.IP != nil && here.IP.Equal(there.IP)
}

// reason is proxy.ReasonOf with what only the one who connects knows.
func (d *Dialer) reason(ip netip.Addr, err error) proxy.Reason {
	switch {
	case errors.Is(err, syscall.EADDRNOTAVAIL) && d.host.has(ip):
		return proxy.Overloaded // every local port towards that server is in use
	case errors.Is(err, syscall.EADDRNOTAVAIL), errors.Is(err, syscall.EAFNOSUPPORT):
		return proxy.NetworkUnreachable // connect says more where a literal was asked for
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		return proxy.NotAllowed // a prohibiting route or a firewall on this host
	}
	return proxy.ReasonOf(err)
}

// telling orders reasons by how much they say about the final server, the best
// first. A reason that is not listed comes last.
var telling = [...]proxy.Reason{
	proxy.Refused, proxy.TimedOut, proxy.HostUnreachable, proxy.Overloaded,
	proxy.NotAllowed, proxy.Failed, proxy.NetworkUnreachable, proxy.AddressUnsupported, proxy.NameNotFound,
}

// mostTelling returns the first error whose reason tells most, or nil.
func mostTelling(errs []error) error {
	for _, r := range telling {
		for _, err := range errs {
			if proxy.ReasonOf(err) == r {
				return err
			}
		}
	}
	if len(errs) == 0 {
		return nil
	}
	return errs[0]
}
