package egress

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// optSynData is TCPI_OPT_SYN_DATA of linux/tcp.h: the SYN's data was accepted.
const optSynData = 32

// synTimeout is nearly the second after which Linux sends a SYN again, bare this
// time (TCP_TIMEOUT_INIT). A data segment may be sent again earlier.
const synTimeout = 900 * time.Millisecond

// fastDial returns dialFast, which other systems do not have.
func fastDial() func(ctx context.Context, to netip.AddrPort, early []byte) fast { return dialFast }

// dialFast connects with TCP_FASTOPEN_CONNECT. Where the kernel has no cookie of
// the server, connect asks for one and is as ever otherwise. Where it has one,
// connect returns at once and the first write sends the SYN; then dialFast waits
// until the handshake has ended, as if there were no Fast Open.
func dialFast(ctx context.Context, to netip.AddrPort, early []byte) (f fast) {
	var d net.Dialer
	d.SetMultipathTCP(false)
	d.Control = func(_, _ string, rc syscall.RawConn) error {
		return rc.Control(func(fd uintptr) {
			// Refused where net.ipv4.tcp_fastopen lacks the bit 1: then it is an ordinary connect.
			unix.SetsockoptInt(int(fd), unix.SOL_TCP, unix.TCP_FASTOPEN_CONNECT, 1)
		})
	}
	conn, err := d.DialContext(ctx, "tcp", to.String())
	if err != nil {
		return fast{err: err}
	}
	c := conn.(*net.TCPConn)
	if sameHost(c) { // no data before the policy has seen that
		c.Close()
		plain, err := dialTCP(ctx, to)
		return fast{conn: plain, err: err}
	}
	info, err := tcpInfo(c)
	if err == nil && info.State != unix.BPF_TCP_SYN_SENT {
		return fast{conn: c, lost: info.Total_retrans > 0}
	}
	if err == nil {
		f, err = sendSYN(ctx, c, early)
	}
	if err != nil {
		c.Close()
		return fast{data: true, err: &net.OpError{Op: "dial", Net: "tcp", Addr: net.TCPAddrFromAddrPort(to), Err: err}}
	}
	return f
}

// sendSYN writes the early data, which sends the SYN, and waits for the answer.
func sendSYN(ctx context.Context, c *net.TCPConn, early []byte) (f fast, err error) {
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		c.SetWriteDeadline(time.Unix(1, 0))
	})
	defer func() {
		if !stop() {
			<-stopped
			err = ctx.Err()
		}
	}()
	begun := time.Now()
	f = fast{conn: c, data: true, sent: true}
	if n, err := c.Write(early); errors.Is(err, unix.EINPROGRESS) && n == 0 {
		f.data, f.sent = false, false // the kernel has lost the cookie since connect
	} else if err != nil {
		return fast{}, err
	}
	info, err := established(c)
	if err != nil {
		return fast{}, err
	}
	f.accepted = info.Options&optSynData != 0
	f.lost = !f.accepted && info.Total_retrans > 0 && time.Since(begun) >= synTimeout
	return f, nil
}

// established waits for the end of the handshake. The poller wakes when the state
// changes, and Go's asks again then.
func established(c *net.TCPConn) (info *unix.TCPInfo, err error) {
	rc, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	waiting := rc.Write(func(fd uintptr) bool {
		if info, err = unix.GetsockoptTCPInfo(int(fd), unix.SOL_TCP, unix.TCP_INFO); err != nil {
			return true
		}
		if info.State == unix.BPF_TCP_CLOSE {
			err = refusal(int(fd))
		}
		return info.State != unix.BPF_TCP_SYN_SENT
	})
	return info, errors.Join(err, waiting)
}

// refusal is why a connection was closed while it was being made.
func refusal(fd int) error {
	n, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil {
		err = unix.ECONNRESET
		if n != 0 {
			err = unix.Errno(n)
		}
	}
	return os.NewSyscallError("connect", err)
}

func tcpInfo(c *net.TCPConn) (info *unix.TCPInfo, err error) {
	rc, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	cerr := rc.Control(func(fd uintptr) { info, err = unix.GetsockoptTCPInfo(int(fd), unix.SOL_TCP, unix.TCP_INFO) })
	return info, errors.Join(err, cerr)
}
