package mptcp

import (
	"net"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Indices of SO_MEMINFO, from linux/sock_diag.h.
const (
	memReceived = 0 // SK_MEMINFO_RMEM_ALLOC
	memReceive  = 1 // SK_MEMINFO_RCVBUF
	memInfos    = 9 // SK_MEMINFO_VARS
)

// clogged reports whether a connection's receive buffer is full and nothing in it can be
// read, for what comes first is missing.
func clogged(c *net.TCPConn) (is bool, err error) {
	err = with(c, func(fd int) error {
		m, err := memInfo(fd)
		if err != nil || m[memReceived] < m[memReceive] {
			return err
		}
		n, err := unix.IoctlGetInt(fd, unix.SIOCINQ)
		is = n == 0
		return err
	})
	return is && err == nil, err
}

func memInfo(fd int) (m [memInfos]uint32, err error) {
	_, err = getsockopt(fd, unix.SOL_SOCKET, unix.SO_MEMINFO, unsafe.Pointer(&m), unsafe.Sizeof(m))
	return m, err
}

// unclog makes the buffer of a clogged connection twice as long as what is in it, moves
// there what subflows hold, and wakes its reader. SO_RCVLOWAT makes a buffer longer
// without ending its growth by itself, as SO_RCVBUF would. Another connection, or one
// that was closed meanwhile, it leaves alone.
func unclog(c *net.TCPConn) {
	if is, err := clogged(c); !is || err != nil {
		return
	}
	with(c, func(fd int) error {
		m, err := memInfo(fd)
		if err != nil {
			return err
		}
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVLOWAT, int(m[memReceived]))
		var one [1]byte
		unix.Recvfrom(fd, one[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVLOWAT, 1)
	})
}
