//go:build unix

package splice

import (
	"net"

	"golang.org/x/sys/unix"
)

// watchGone calls f if c's peer, which has ended its sending, resets c: then it is not
// there to hear the rest either, which a write would find out, but there may be none for
// hours. It returns when that has happened, or c is closed.
//
// A peer that has closed its socket says so when it gets another byte, or, after the
// minute for which Linux remembers such a connection (tcp_fin_timeout), a probe of ours.
func watchGone(c *net.TCPConn, f func()) {
	raw, err := c.SyscallConn()
	if err != nil {
		return
	}
	gone := false
	raw.Read(func(fd uintptr) bool {
		p := []unix.PollFd{{Fd: int32(fd)}}
		n, err := unix.Poll(p, 0)
		gone = err == nil && n > 0 && p[0].Revents&unix.POLLERR != 0 // both ends of it ended is POLLHUP
		return gone
	})
	if gone {
		f()
	}
}
