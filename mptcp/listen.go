package mptcp

import (
	"context"
	"net"
	"net/netip"
	"strconv"
	"syscall"
)

// Listen listens on a TCP address, as net.Listen does with the networks "tcp",
// "tcp4" and "tcp6". With multipath it accepts MPTCP and plain TCP alike; where
// the kernel refuses MPTCP sockets it accepts plain TCP, and [Supported] says
// why. A listener that wants SO_ORIGINAL_DST of its connections must not be
// multipath. Further subflows of a connection arrive at the listening socket's
// port: with no listener left there, later joins are refused.
//
// What a multipath listener accepts is probed seldom, after [PatientKeepAlive]: it
// is for those who dialled to keep their paths known to NATs. Its congestion control
// is what [NewCongestion] says.
//
// Control, if not nil, is called with the socket before it is bound. Its error
// fails Listen; the standard library would silently listen for plain TCP
// instead.
func Listen(ctx context.Context, network, address string, multipath bool, control func(fd uintptr) error) (*net.TCPListener, error) {
	var refused error
	idle := DefaultKeepAlive
	if multipath {
		idle = PatientKeepAlive
	}
	lc := net.ListenConfig{KeepAliveConfig: keepAlive(idle)}
	lc.SetMultipathTCP(multipath)
	lc.Control = func(_, _ string, rc syscall.RawConn) error {
		return rc.Control(func(fd uintptr) {
			if multipath {
				_ = chooseCongestion(int(fd)) // NewCongestion says what is missing
			}
			if control != nil {
				refused = control(fd)
			}
		})
	}
	l, err := lc.Listen(ctx, network, address)
	if err != nil {
		return nil, err
	}
	tl, ok := l.(*net.TCPListener)
	if !ok {
		l.Close()
		return nil, &net.OpError{Op: "listen", Net: network, Err: net.UnknownNetworkError(network)}
	}
	if refused != nil {
		l.Close()
		return nil, &net.OpError{Op: "listen", Net: network, Addr: l.Addr(), Err: refused}
	}
	return tl, nil
}

// ListenText returns an address in the form that Listen takes, where an address
// without IP means all addresses of both families.
func ListenText(a netip.AddrPort) string {
	if !a.Addr().IsValid() {
		return ":" + strconv.Itoa(int(a.Port()))
	}
	return a.String()
}
