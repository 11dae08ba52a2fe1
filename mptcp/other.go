//go:build !linux

package mptcp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"syscall"
)

func errHere(what string) error {
	return fmt.Errorf("%s on %s: %w", what, runtime.GOOS, errors.ErrUnsupported)
}

func supported() error {
	return &UnsupportedError{
		Reason: "no MPTCP on " + runtime.GOOS,
		hint:   "run it on Linux to use several paths",
	}
}

func (d *Dialer) dial(ctx context.Context, to netip.AddrPort) (*net.TCPConn, error) {
	if d.Device != "" || d.Mark != 0 {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: net.TCPAddrFromAddrPort(to), Err: errHere("device and mark")}
	}
	nd := net.Dialer{KeepAlive: -1}
	if d.Local.IsValid() {
		nd.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(d.Local, 0))
	}
	if d.Control != nil {
		nd.Control = func(_, _ string, rc syscall.RawConn) error {
			var err error
			if e := rc.Control(func(fd uintptr) { err = d.Control(fd) }); e != nil {
				return e
			}
			return err
		}
	}
	c, err := nd.DialContext(ctx, "tcp", to.String())
	if err != nil {
		return nil, err
	}
	return c.(*net.TCPConn), nil
}

func isMultipath(*net.TCPConn) bool            { return false }
func info(*net.TCPConn) (Connection, error)    { return Connection{}, errHere("MPTCP_INFO") }
func fullInfo(*net.TCPConn) (Full, error)      { return Full{}, errHere("MPTCP_FULL_INFO") }
func tcpInfo(*net.TCPConn) (Subflow, error)    { return Subflow{}, errHere("TCP_INFO") }
func written(*net.TCPConn) (uint64, error)     { return 0, errHere("written bytes") }
func acked(*net.TCPConn) (uint64, error)       { return 0, errHere("acknowledged bytes") }
func quiet(*net.TCPConn) bool                  { return true }
func setCongestion(*net.TCPConn, string) error { return errHere("congestion control") }
func canTrim() bool                            { return false }
func setSendBuffer(*net.TCPConn, int) error    { return errHere("send buffers") }
func unclog(*net.TCPConn)                      {}
func renewCongestion(*net.TCPConn) error       { return nil }
func chooseCongestion(int) error               { return nil }
func newCongestion() (string, error)           { return "", errHere("congestion control") }
func congestion(*net.TCPConn) (string, error)  { return "", errHere("congestion control") }
