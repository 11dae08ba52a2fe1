package proxytest

import (
	"net"
	"time"
)

// CloseWrite ends the direction that leaves from here.
func (e *End) CloseWrite() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return e.fail("close", net.ErrClosed)
	}
	e.finish(time.Now())
	e.wake()
	return nil
}

func (e *End) finish(now time.Time) {
	if !e.writeClosed {
		e.writeClosed = true
		e.peer.eof = now.Add(e.delay)
	}
}

// Close ends both directions, by a reset if bytes are unread or SetLinger(0) was
// called.
func (e *End) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return e.fail("close", net.ErrClosed)
	}
	now := time.Now()
	e.closed = true
	switch {
	case e.noLinger, len(e.in) > 0 && past(e.in[0].at, now):
		e.peer.resetAt(now.Add(e.delay))
	case len(e.in) > 0: // arrives at a closed end
		e.finish(now)
		e.peer.resetAt(e.in[0].at.Add(e.delay))
	default:
		e.finish(now)
	}
	e.in = nil
	e.wake()
	return nil
}

func (e *End) resetAt(at time.Time) {
	if e.reset.IsZero() || at.Before(e.reset) {
		e.reset = at
	}
}

// SetLinger with 0 makes Close send a reset, as on a *net.TCPConn. Other values
// undo that.
func (e *End) SetLinger(sec int) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.noLinger = sec == 0
	return nil
}

// LocalAddr returns an address for documentation (RFC 5737), as a *net.TCPAddr.
func (e *End) LocalAddr() net.Addr { return e.addr }

// RemoteAddr returns the peer's LocalAddr.
func (e *End) RemoteAddr() net.Addr { return e.peer.addr }

// SetDeadline sets both deadlines.
func (e *End) SetDeadline(t time.Time) error {
	e.setDeadlines(t, &e.readDeadline, &e.writeDeadline)
	return nil
}

// SetReadDeadline also wakes a Read that waits.
func (e *End) SetReadDeadline(t time.Time) error {
	e.setDeadlines(t, &e.readDeadline)
	return nil
}

// SetWriteDeadline also wakes a Write that waits.
func (e *End) SetWriteDeadline(t time.Time) error {
	e.setDeadlines(t, &e.writeDeadline)
	return nil
}

func (e *End) setDeadlines(t time.Time, deadlines ...*time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, d := range deadlines {
		*d = t
	}
	e.wake()
}

func (e *End) fail(op string, err error) error {
	return &net.OpError{Op: op, Net: "wire", Source: e.addr, Addr: e.peer.addr, Err: err}
}
