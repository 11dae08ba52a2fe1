package mptcp

import (
	"errors"
	"net"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Socket options that golang.org/x/sys does not have, from linux/mptcp.h and
// linux/tcp.h.
const (
	optInfo         = 1 // MPTCP_INFO
	optTCPInfo      = 2 // MPTCP_TCPINFO
	optSubflowAddrs = 3 // MPTCP_SUBFLOW_ADDRS
	optFullInfo     = 4 // MPTCP_FULL_INFO

	optIsMPTCP = 43 // TCP_IS_MPTCP
)

// with runs fn on the connection's descriptor, which stays open meanwhile.
func with(c *net.TCPConn, fn func(fd int) error) error {
	rc, err := c.SyscallConn()
	if err != nil {
		return err
	}
	if e := rc.Control(func(fd uintptr) { err = fn(int(fd)) }); e != nil {
		return e
	}
	return err
}

// getsockopt reads an option into the size bytes at p and returns how many the
// kernel has written there.
func getsockopt(fd, level, opt int, p unsafe.Pointer, size uintptr) (uintptr, error) {
	n := uint32(size)
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), uintptr(level), uintptr(opt),
		uintptr(p), uintptr(unsafe.Pointer(&n)), 0)
	if errno != 0 {
		return 0, errno
	}
	return uintptr(n), nil
}

func isMultipath(c *net.TCPConn) bool {
	var is bool
	err := with(c, func(fd int) error {
		is = multipath(fd)
		return nil
	})
	return err == nil && is
}

// multipath asks TCP_IS_MPTCP, and kernels before 6.10 whether MPTCP_INFO works.
func multipath(fd int) bool {
	v, err := unix.GetsockoptInt(fd, unix.SOL_TCP, optIsMPTCP)
	if err == nil {
		return v != 0
	}
	if !errors.Is(err, unix.ENOPROTOOPT) && !errors.Is(err, unix.EOPNOTSUPP) {
		return false
	}
	_, _, err = readInfo(fd)
	return err == nil
}
