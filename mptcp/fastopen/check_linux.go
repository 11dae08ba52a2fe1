package fastopen

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"tributary/mptcp"
)

// Chosen by us. On Linux 6.18 with two busy cores an answer without the fault
// takes 42 ms, and a download without it 0.3 to 0.65 s, pause included; 0 or 1
// segments go beyond the window without the fault, and 130 to 1,000 with it.
//
// During the pause the client does not read. So a server that keeps to the window
// stops, and one that does not shows itself, however fast the host is.
const (
	answerTime    = 300 * time.Millisecond
	downloadTime  = 700 * time.Millisecond
	pauseTime     = 200 * time.Millisecond
	downloadBytes = 3 << 19
	manyDropped   = 30 // more than usual are a fault
	maxTries      = 3  // as it does not show every time
)

// synRecv is the state of a connection whose SYN alone has arrived; a State that
// only TCP Fast Open shows to anybody.
const synRecv mptcp.State = 3

// A notTested error is why there is no test on this host.
type notTested struct{ error }

func accepted() bool {
	text, err := os.ReadFile("/proc/sys/net/ipv4/tcp_fastopen")
	if err != nil {
		return false
	}
	bits, err := strconv.Atoi(string(bytes.TrimSpace(text)))
	return err == nil && bits&2 != 0
}

// check runs the test on a thread of its own, which ends with the network
// namespace it is in.
func check(ctx context.Context) (Report, error) {
	var r Report
	err := onLostThread(func() error { return r.test(ctx) })
	if why := (notTested{}); errors.As(err, &why) {
		return Report{Why: why.Error()}, nil
	}
	return r, err
}

// onLostThread runs fn on a thread that ends with it. The process's first thread
// cannot end: it would stay in the namespace, and /proc/self show that one. So if
// it is the one we were given, it is held until another one has run fn.
func onLostThread(fn func() error) error {
	ended := make(chan error)
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			defer runtime.UnlockOSThread()
			ended <- onLostThread(fn)
			return
		}
		ended <- fn()
	}()
	return <-ended
}

func (r *Report) test(ctx context.Context) error {
	if err := mptcp.Supported(); err != nil {
		return notTested{err}
	}
	n, err := newMirror()
	if err != nil {
		return err
	}
	defer n.close()
	ln, err := mptcp.Listen(ctx, "tcp4", "0.0.0.0:0", true, func(fd uintptr) error {
		return errors.Join(unix.SetsockoptInt(int(fd), unix.SOL_TCP, unix.TCP_FASTOPEN, 16),
			unix.SetsockoptInt(int(fd), unix.SOL_TCP, unix.TCP_FASTOPEN_NO_COOKIE, 1))
	})
	if err != nil {
		return notTested{err}
	}
	defer ln.Close()
	t := &trial{ctx: ctx, listener: ln, to: netip.AddrPortFrom(mirrorFar, uint16(ln.Addr().(*net.TCPAddr).Port))}
	if r.EarlyWriteLost, err = t.early(); err != nil {
		return err
	}
	if err := n.steer(); err != nil {
		return notTested{err}
	}
	var usual int
	if r.Normal, usual, err = t.counted(false); err != nil {
		return err
	}
	for range maxTries {
		if r.Download, r.Dropped, err = t.counted(true); err != nil {
			return err
		}
		if r.DownloadCollapses = r.Dropped >= usual+manyDropped; r.DownloadCollapses {
			break
		}
	}
	r.Tested = true
	return nil
}

// A trial is the client and the server of the test.
type trial struct {
	ctx      context.Context
	listener *net.TCPListener
	to       netip.AddrPort
}

// session runs both ends of one connection until both have returned, and returns
// the server's error if there is one, else the client's.
func (t *trial) session(syn bool, limit time.Duration, server, client func(*net.TCPConn) error) error {
	var d net.Dialer // ours wants a peer after connect, which comes with the first write here
	d.SetMultipathTCP(true)
	if syn {
		d.Control = func(_, _ string, rc syscall.RawConn) (err error) {
			return errors.Join(rc.Control(func(fd uintptr) {
				err = errors.Join(unix.SetsockoptInt(int(fd), unix.SOL_TCP, unix.TCP_FASTOPEN_CONNECT, 1),
					unix.SetsockoptInt(int(fd), unix.SOL_TCP, unix.TCP_FASTOPEN_NO_COOKIE, 1))
			}), err)
		}
	}
	end := time.Now().Add(limit + 500*time.Millisecond)
	served := make(chan error, 1)
	t.listener.SetDeadline(end)
	go func() {
		c, err := t.listener.AcceptTCP()
		if err == nil {
			c.SetDeadline(end)
			_, err = io.ReadFull(c, make([]byte, 1))
			if err == nil {
				err = server(c)
			}
			c.SetLinger(0)
			c.Close()
		}
		served <- err
	}()
	ctx, cancel := context.WithDeadline(t.ctx, end)
	defer cancel()
	conn, err := d.DialContext(ctx, "tcp4", t.to.String())
	if err == nil {
		c := conn.(*net.TCPConn)
		stop := context.AfterFunc(t.ctx, func() { c.SetDeadline(time.Unix(1, 0)) })
		c.SetDeadline(end)
		if _, err = c.Write([]byte{1}); err == nil {
			err = client(c)
		}
		stop()
		c.SetLinger(0)
		c.Close()
	} else {
		t.listener.SetDeadline(time.Unix(1, 0))
	}
	if e := <-served; err == nil || e != nil && !errors.Is(e, os.ErrDeadlineExceeded) {
		err = e
	}
	if t.ctx.Err() != nil {
		return t.ctx.Err()
	}
	return err
}

// early has the server answer while the handshake lasts. There must be one path
// only: with two, the retransmission timer of MPTCP sends the answer after 0.2 s.
func (t *trial) early() (lost bool, err error) {
	read := make(chan struct{})
	err = t.session(true, answerTime, func(c *net.TCPConn) error {
		if _, err := c.Write([]byte{2}); err != nil {
			return err
		}
		if s, err := mptcp.TCPInfo(c); err != nil || s.State != synRecv {
			return notTested{errors.New("no data in the SYN was accepted")}
		}
		<-read
		return nil
	}, func(c *net.TCPConn) error {
		defer close(read)
		c.SetReadDeadline(time.Now().Add(answerTime))
		_, err := io.ReadFull(c, make([]byte, 1))
		if lost = errors.Is(err, os.ErrDeadlineExceeded); lost {
			return nil
		}
		return err
	})
	return lost, err
}

// download has the server send over two subflows, and returns what that took or
// the time after which it was given up.
func (t *trial) download(syn bool) (took time.Duration, err error) {
	read := make(chan struct{})
	err = t.session(syn, downloadTime, func(c *net.TCPConn) error {
		begun := time.Now()
		for ; ; time.Sleep(time.Millisecond) {
			s, err := mptcp.TCPInfo(c)
			if err != nil {
				return err
			}
			if s.State == mptcp.Established {
				break
			}
			if time.Since(begun) > downloadTime {
				return errors.New("the handshake does not end")
			}
		}
		if _, err := c.Write([]byte{2}); err != nil {
			return err
		}
		for ; ; time.Sleep(time.Millisecond) {
			if i, err := mptcp.Info(c); err != nil || i.Fallback {
				return errors.Join(errors.New("the connection is not multipath"), err)
			} else if i.Extra > 0 {
				break
			}
			if time.Since(begun) > downloadTime {
				return errors.New("no second subflow")
			}
		}
		stop := make(chan struct{})
		go func() {
			defer close(stop)
			<-read
			c.SetWriteDeadline(time.Unix(1, 0))
		}()
		_, err := c.Write(make([]byte, downloadBytes))
		if <-stop; errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		return err
	}, func(c *net.TCPConn) error {
		defer close(read)
		if _, err := io.ReadFull(c, make([]byte, 2)); err != nil {
			return err
		}
		begun := time.Now()
		time.Sleep(pauseTime)
		c.SetReadDeadline(begun.Add(downloadTime))
		_, err := io.CopyN(io.Discard, c, downloadBytes-1)
		took = time.Since(begun)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		return err
	})
	return took, err
}

// counted is download with the number of segments that went beyond the window.
func (t *trial) counted(syn bool) (took time.Duration, dropped int, err error) {
	before, err := beyondWindow()
	if err != nil {
		return 0, 0, err
	}
	if took, err = t.download(syn); err != nil {
		return 0, 0, err
	}
	after, err := beyondWindow()
	return took, after - before, err
}

// beyondWindow reads how many segments this network namespace has dropped since
// their data was beyond the window of the MPTCP connection.
func beyondWindow() (int, error) {
	text, err := os.ReadFile("/proc/thread-self/net/netstat")
	if err != nil {
		return 0, fmt.Errorf("read counters: %w", err)
	}
	var names [][]byte
	for line := range bytes.Lines(text) {
		words := bytes.Fields(line)
		if len(words) == 0 || string(words[0]) != "MPTcpExt:" {
			continue
		}
		if names == nil {
			names = words
			continue
		}
		i := slices.IndexFunc(names, func(n []byte) bool { return string(n) == "NoDSSInWindow" })
		if i >= 0 && i < len(words) {
			return strconv.Atoi(string(words[i]))
		}
	}
	return 0, notTested{errors.New("the kernel does not count segments beyond the window")}
}
