package mptcp

import (
	"net"

	"golang.org/x/sys/unix"
)

// enoughBuffer is what SO_SNDBUF has to allow, as the kernel counts: as much as
// tcp_wmem does by default, twice. Below that a connection could not be given back
// what was taken from it.
const enoughBuffer = 8 << 20

// canTrim finds out how large SO_SNDBUF may be.
func canTrim() bool {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	if forceBuffer(fd, enoughBuffer) != nil {
		return false
	}
	got, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF)
	return err == nil && got >= enoughBuffer
}

// forceBuffer sets the buffer as the kernel counts, which doubles what it is told:
// socket(7). Without CAP_NET_ADMIN net.core.wmem_max is the limit.
func forceBuffer(fd, bytes int) error {
	err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, bytes/2)
	if err == unix.EPERM {
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, bytes/2)
	}
	return err
}

func setSendBuffer(c *net.TCPConn, bytes int) error {
	return with(c, func(fd int) error { return forceBuffer(fd, bytes) })
}
