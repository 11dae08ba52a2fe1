package link

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// groups are the rtnetlink multicast groups listened to (linux/rtnetlink.h).
var groups = [...]uint32{
	unix.RTNLGRP_LINK,
	unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR,
	unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE,
	unix.RTNLGRP_IPV4_RULE, unix.RTNLGRP_IPV6_RULE,
}

// eventBuffer, in bytes, holds some thousand events while we are busy. If it
// overflows, everything is looked at anew.
const eventBuffer = 1 << 20

// A receiver is a socket that events come by.
type receiver interface {
	Receive() ([]netlink.Message, error)
	Close() error
}

// events turns the kernel's events into signals. All groups share one socket,
// so their order is kept. A socket that fails is replaced.
type events struct {
	open  func() (receiver, error)
	log   *slog.Logger
	alarm *alarm
	stop  chan struct{}
	done  chan struct{}
	ns    *os.File // nil in tests

	mu   sync.Mutex // guards what follows
	conn receiver
	over bool // no further socket is wanted
}

// listen listens in the network namespace of the calling thread.
func listen(log *slog.Logger) (*events, error) {
	ns, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return nil, fmt.Errorf("identify the network namespace: %w", err)
	}
	e, err := newEvents(func() (receiver, error) { return subscribe(ns) }, log)
	if err != nil {
		return nil, errors.Join(err, ns.Close())
	}
	e.ns = ns
	return e, nil
}

// newEvents begins to read what open opens.
func newEvents(open func() (receiver, error), log *slog.Logger) (*events, error) {
	conn, err := open()
	if err != nil {
		return nil, err
	}
	e := &events{open: open, log: log, alarm: newAlarm(), stop: make(chan struct{}), done: make(chan struct{}), conn: conn}
	go e.read(conn)
	return e, nil
}

// subscribe opens a socket in a network namespace. To enter one takes CAP_SYS_ADMIN, so
// that is left out where this thread is in it, as nearly always.
func subscribe(ns *os.File) (receiver, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	there, err := ns.Stat()
	if err != nil {
		return nil, err
	}
	var config netlink.Config
	if here, err := os.Stat("/proc/thread-self/ns/net"); err != nil || !os.SameFile(here, there) {
		config.NetNS = int(ns.Fd())
	}
	conn, err := netlink.Dial(unix.NETLINK_ROUTE, &config)
	if err != nil {
		return nil, err
	}
	for _, g := range groups {
		if err := conn.JoinGroup(g); err != nil {
			return nil, errors.Join(err, conn.Close())
		}
	}
	// Without CAP_NET_ADMIN the kernel caps this at rmem_max, which is fine too.
	if err := conn.SetReadBuffer(eventBuffer); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

func (e *events) close() error {
	close(e.stop)
	e.mu.Lock()
	e.over = true
	err := e.conn.Close()
	e.mu.Unlock()
	<-e.done
	if e.ns != nil {
		err = errors.Join(err, e.ns.Close())
	}
	return err
}

// read ends at close.
func (e *events) read(conn receiver) {
	defer close(e.done)
	for wait := retry; conn != nil; {
		msgs, err := conn.Receive()
		switch {
		case errors.Is(err, unix.ENOBUFS):
			e.alarm.raise(all)
			continue
		case err != nil:
			conn = e.replace(conn, err, wait)
			wait = min(2*wait, resync)
			continue
		}
		wait = retry
		var s signal
		for _, m := range msgs {
			s |= judge(uint16(m.Header.Type), m.Data)
		}
		if s != 0 {
			e.alarm.raise(s)
		}
	}
}

// replace opens another socket for one that has failed, after a while: whatever is
// wrong may go on. It returns nil at close.
func (e *events) replace(old receiver, failed error, wait time.Duration) receiver {
	for ; ; wait = min(2*wait, resync) {
		select {
		case <-e.stop: // that was the failure
			return nil
		default:
		}
		e.log.Warn("link events cannot be read, they will be listened for anew", "err", failed)
		select {
		case <-e.stop:
			return nil
		case <-time.After(wait):
		}
		next, err := e.open()
		if err == nil {
			return e.swap(old, next)
		}
		failed = err
	}
}

// swap has another socket read, unless close came first.
func (e *events) swap(old, next receiver) receiver {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.over {
		next.Close()
		return nil
	}
	old.Close()
	e.conn = next
	e.alarm.raise(all) // events were missed
	return next
}
