package mptcp

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// dial makes the socket by hand, because net.Dialer dials again with plain TCP
// after any error of an MPTCP connect, and because it gives IPv4 destinations
// sockets that can never take an IPv6 subflow.
func (d *Dialer) dial(ctx context.Context, to netip.AddrPort) (*net.TCPConn, error) {
	c, err := d.open(ctx, to)
	if err != nil {
		op := &net.OpError{Op: "dial", Net: "tcp", Addr: net.TCPAddrFromAddrPort(to), Err: err}
		if d.Local.IsValid() {
			op.Source = net.TCPAddrFromAddrPort(netip.AddrPortFrom(d.Local, 0))
		}
		return nil, op
	}
	return c, nil
}

func (d *Dialer) open(ctx context.Context, to netip.AddrPort) (*net.TCPConn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if !to.IsValid() {
		return nil, &net.AddrError{Err: "no address to dial"}
	}
	if d.Local.IsValid() && d.Local.Unmap().Is4() != to.Addr().Unmap().Is4() {
		return nil, &net.AddrError{Err: "source address of another family", Addr: d.Local.String()}
	}
	fd, family, err := d.socket(to.Addr())
	if err != nil {
		return nil, err
	}
	// The file owns fd; net.FileConn takes a copy. With the socket non-blocking
	// already, the file is in the runtime's poller.
	f := os.NewFile(uintptr(fd), "tcp")
	defer f.Close()
	if err := d.prepare(fd, family); err != nil {
		return nil, err
	}
	if err := connect(ctx, f, sockaddr(to, family)); err != nil {
		return nil, err
	}
	c, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	if c.LocalAddr().String() == c.RemoteAddr().String() {
		// Simultaneous open with ourselves: the port was free, and was ours.
		c.Close()
		return nil, os.NewSyscallError("connect", unix.ECONNREFUSED)
	}
	return c.(*net.TCPConn), nil
}

// socket returns a socket and its family. Whatever keeps the kernel from giving
// an MPTCP socket, plain TCP is tried, whose error is then the one that counts.
func (d *Dialer) socket(to netip.Addr) (fd, family int, err error) {
	const typ = unix.SOCK_STREAM | unix.SOCK_NONBLOCK | unix.SOCK_CLOEXEC
	family = unix.AF_INET6
	if to.Unmap().Is4() {
		family = unix.AF_INET
	}
	if d.Multipath {
		for _, f := range []int{unix.AF_INET6, family} {
			if fd, err := unix.Socket(f, typ, unix.IPPROTO_MPTCP); err == nil {
				return fd, f, nil
			}
		}
	}
	fd, err = unix.Socket(family, typ, unix.IPPROTO_TCP)
	return fd, family, os.NewSyscallError("socket", err)
}

func (d *Dialer) prepare(fd, family int) error {
	if family == unix.AF_INET6 {
		// net.ipv6.bindv6only may say otherwise.
		if err := unix.SetsockoptInt(fd, unix.SOL_IPV6, unix.IPV6_V6ONLY, 0); err != nil {
			return os.NewSyscallError("setsockopt IPV6_V6ONLY", err)
		}
	}
	if d.Mark != 0 {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, int(d.Mark)); err != nil {
			return os.NewSyscallError("setsockopt SO_MARK", err)
		}
	}
	if d.Device != "" {
		if err := unix.BindToDevice(fd, d.Device); err != nil {
			return os.NewSyscallError("setsockopt SO_BINDTODEVICE "+d.Device, err)
		}
	}
	if d.Multipath {
		_ = chooseCongestion(fd) // NewCongestion says what is missing
	}
	if d.Control != nil {
		if err := d.Control(uintptr(fd)); err != nil {
			return err
		}
	}
	if !d.Local.IsValid() {
		return nil
	}
	// Lets connections to different destinations share a local port. Without it
	// only the number of ports is smaller.
	_ = unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
	return os.NewSyscallError("bind", unix.Bind(fd, sockaddr(netip.AddrPortFrom(d.Local, 0), family)))
}

// connect waits for the connection until ctx ends. Afterwards f's deadline is
// spoilt, so f is good only to be copied.
func connect(ctx context.Context, f *os.File, to unix.Sockaddr) error {
	rc, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var connErr error
	if err := rc.Control(func(fd uintptr) { connErr = unix.Connect(int(fd), to) }); err != nil {
		return err
	}
	switch {
	case connErr == nil:
		return nil
	case !errors.Is(connErr, unix.EINPROGRESS) && !errors.Is(connErr, unix.EINTR):
		return os.NewSyscallError("connect", connErr)
	}
	stop := context.AfterFunc(ctx, func() { _ = f.SetWriteDeadline(time.Unix(1, 0)) })
	defer stop()
	err = rc.Write(func(fd uintptr) bool {
		var done bool
		done, connErr = connected(int(fd))
		return done
	})
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return err
	}
	return os.NewSyscallError("connect", connErr)
}

// connected reports whether a connect that was in progress is over, and how it
// ended. A socket without error is connected once it has a peer: the poller may
// wake us without cause.
func connected(fd int) (bool, error) {
	code, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil {
		return true, err
	}
	if code != 0 {
		return true, unix.Errno(code)
	}
	_, err = unix.Getpeername(fd)
	return err == nil, nil
}

// sockaddr returns the address in the socket's family, mapped if need be.
func sockaddr(a netip.AddrPort, family int) unix.Sockaddr {
	ip := a.Addr()
	if family == unix.AF_INET {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: ip.Unmap().As4()}
	}
	sa := &unix.SockaddrInet6{Port: int(a.Port()), Addr: ip.As16()}
	if zone := ip.Zone(); zone != "" {
		if ifi, err := net.InterfaceByName(zone); err == nil {
			sa.ZoneId = uint32(ifi.Index)
		} else if n, err := strconv.ParseUint(zone, 10, 32); err == nil {
			sa.ZoneId = uint32(n)
		} // else the kernel refuses a link-local address without interface
	}
	return sa
}
