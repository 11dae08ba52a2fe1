package load

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// A Config says what to open.
type Config struct {
	Via            netip.AddrPort // the server under test, IPv4
	User, Password string         // at most 255 bytes each
	To             netip.AddrPort // the final server, IPv4: Run listens there
	Multipath      bool           // speak Multipath TCP to the server under test
	Clients        int            // connections at once
	For            time.Duration
}

// A Result is what came of it.
type Result struct {
	Connections int // that were told that their final server is reached
	Failed      int // refused or broken
	Elapsed     time.Duration
	Own         time.Duration // processor time of clients and final server
	Failure     error         // the first one
}

// Rate returns connections a second.
func (r Result) Rate() float64 { return float64(r.Connections) / r.Elapsed.Seconds() }

const (
	// mostFailures ends a run in which nothing works.
	mostFailures = 1000

	// patience is for the first connection, on a machine that is busy with more.
	patience = 5 * time.Second
)

// Run keeps c.Clients connections opening until c.For is over or ctx ends, and
// returns how many it opened. It works on the calling thread alone, so its sockets
// are in the network namespace of that thread. It fails where it cannot listen, or
// nothing works; single failures are counted.
func Run(ctx context.Context, c Config) (Result, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	l, err := newLoop(c)
	if err != nil {
		return Result{}, fmt.Errorf("load: %w", err)
	}
	defer l.close()
	err = l.run(ctx)
	if err == nil && l.result.Connections == 0 {
		err = errors.Join(errors.New("nothing was opened"), l.result.Failure)
	}
	if err != nil {
		return l.result, fmt.Errorf("load: %w", err)
	}
	return l.result, nil
}

// In epoll events, listening stands for the listener, and served-fd for a connection
// of the final server; the others are places of clients.
const (
	listening = -1
	served    = -2
)

// A loop is one thread's clients and final server.
type loop struct {
	config   Config
	messages [steps][]byte // that a client sends
	via      unix.Sockaddr
	epoll    int
	listener int
	clients  []client
	served   map[int]struct{} // connections of the final server
	result   Result
	buf      [512]byte
}

func newLoop(c Config) (_ *loop, err error) {
	if !c.Via.Addr().Is4() || !c.To.Addr().Is4() || c.Clients <= 0 || len(c.User) > 255 || len(c.Password) > 255 {
		return nil, errors.New("want IPv4 addresses, at least one client, and a short user and password")
	}
	l := &loop{config: c, epoll: -1, listener: -1, clients: make([]client, c.Clients), served: map[int]struct{}{}, messages: messages(c), via: sockaddr(c.Via)}
	for i := range l.clients {
		l.clients[i].fd = -1
	}
	defer func() {
		if err != nil {
			l.close()
		}
	}()
	if l.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("make an epoll: %w", err)
	}
	if l.listener, err = listen(c.To); err != nil {
		return nil, fmt.Errorf("listen on %v: %w", c.To, err)
	}
	return l, l.watch(l.listener, listening, unix.EPOLLIN)
}

func listen(at netip.AddrPort) (fd int, err error) {
	fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	// Connections of an earlier run are in TIME-WAIT still.
	err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	if err == nil {
		err = unix.Bind(fd, sockaddr(at))
	}
	if err == nil {
		err = unix.Listen(fd, 4096)
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	return &unix.SockaddrInet4{Addr: a.Addr().As4(), Port: int(a.Port())}
}

func (l *loop) watch(fd, place int, events uint32) error {
	e := unix.EpollEvent{Events: events, Fd: int32(place)}
	if err := unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, fd, &e); err != nil {
		return fmt.Errorf("watch a socket: %w", err)
	}
	return nil
}

func (l *loop) close() {
	for i := range l.clients {
		if fd := l.clients[i].fd; fd >= 0 {
			unix.Close(fd)
		}
	}
	for fd := range l.served {
		unix.Close(fd)
	}
	for _, fd := range []int{l.listener, l.epoll} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}

func (l *loop) run(ctx context.Context) error {
	began, used := time.Now(), threadTime()
	defer func() { l.result.Elapsed, l.result.Own = time.Since(began), threadTime()-used }()
	for i := range l.clients {
		if err := l.open(i); err != nil {
			return err
		}
	}
	events := make([]unix.EpollEvent, 256)
	for time.Since(began) < l.config.For || l.nothing() && time.Since(began) < patience {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		n, err := unix.EpollWait(l.epoll, events, 100)
		if err != nil && err != unix.EINTR {
			return fmt.Errorf("wait for sockets: %w", err)
		}
		for _, e := range events[:max(n, 0)] {
			switch {
			case e.Fd == listening:
				err = l.serve()
			case e.Fd <= served:
				fd := served - int(e.Fd)
				unix.Close(fd) // its client has hung up
				delete(l.served, fd)
			default:
				err = l.move(int(e.Fd))
			}
			if err != nil {
				return err
			}
		}
		if l.result.Failed >= mostFailures {
			return fmt.Errorf("%d connections failed: %w", l.result.Failed, l.result.Failure)
		}
	}
	return nil
}

// nothing reports whether there is no result yet.
func (l *loop) nothing() bool { return l.result.Connections+l.result.Failed == 0 }

// threadTime is what the calling thread has used of its processors.
func threadTime() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_THREAD, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// serve is the final server, where nothing is to be had.
func (l *loop) serve() error {
	for {
		fd, _, err := unix.Accept4(l.listener, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		switch err {
		case nil:
			if err := l.watch(fd, served-fd, unix.EPOLLIN); err != nil {
				unix.Close(fd)
				return err
			}
			l.served[fd] = struct{}{}
		case unix.EAGAIN:
			return nil
		case unix.ECONNABORTED, unix.EINTR:
		default:
			return fmt.Errorf("accept: %w", err)
		}
	}
}
