package speed

import (
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// A stream is the far side of a session with the service: what is written to it is
// an HTTP request and perhaps its body, what is read from it the answer. Nothing
// runs behind it: bytes are made when they are read, and counted when they are
// written, so that it is no slower than whoever splices it and ends with it.
type stream struct {
	service *Service
	account string
	changed chan struct{} // has room for one; wakes a reader that waits

	mu       sync.Mutex
	head     []byte // of the request, until it is complete
	answer   answer // nil until then
	pending  []byte // of the answer, before what answer makes
	ended    bool   // the client has ended its direction
	closed   bool
	entered  bool // counted as a transfer of the account
	deadline time.Time
}

// An answer is what a request leads to. Its methods are called with the stream's
// lock held.
type answer interface {
	// take is given how much has come of the request's body. It reports whether there
	// is something to say about it now.
	take(n int) bool
	// give fills p from the front, or says when there will be something to give; the
	// zero time is when take says so. An error comes without bytes.
	give(p []byte, now time.Time) (n int, again time.Time, err error)
}

func newStream(s *Service, account string) *stream {
	return &stream{service: s, account: account, changed: make(chan struct{}, 1)}
}

// Write takes the request, and then its body.
func (c *stream) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		return 0, net.ErrClosed
	case c.ended:
		return 0, os.ErrInvalid
	case len(p) == 0:
		return 0, nil
	}
	if c.answer != nil {
		c.body(len(p))
	} else {
		c.head = append(c.head, p...)
		c.request()
	}
	return len(p), nil
}

// body takes bytes of the request's body.
func (c *stream) body(n int) {
	if n == 0 || c.answer == nil {
		return
	}
	c.charge(n)
	if c.answer.take(n) {
		c.wake()
	}
}

// Read gives what there is of the answer, and waits where there is nothing.
func (c *stream) Read(p []byte) (int, error) {
	for {
		n, again, err := c.read(p)
		if n > 0 || err != nil || len(p) == 0 {
			return n, err
		}
		c.wait(again)
	}
}

func (c *stream) read(p []byte) (n int, again time.Time, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	switch {
	case c.closed:
		return 0, again, net.ErrClosed
	case !c.deadline.IsZero() && !now.Before(c.deadline):
		return 0, again, os.ErrDeadlineExceeded
	case len(c.pending) > 0:
		n = copy(p, c.pending)
		c.pending = c.pending[n:]
		return n, again, nil
	case c.answer == nil:
		return 0, again, nil
	}
	n, again, err = c.answer.give(p, now)
	c.charge(n)
	return n, again, err
}

// wait returns at a time, or earlier when something has changed.
func (c *stream) wait(until time.Time) {
	c.mu.Lock()
	if d := c.deadline; !d.IsZero() && (until.IsZero() || d.Before(until)) {
		until = d
	}
	c.mu.Unlock()
	if until.IsZero() {
		<-c.changed
		return
	}
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case <-c.changed:
	case <-timer.C:
	}
}

func (c *stream) wake() {
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

// charge counts bytes for the account, and ends what exceeds its allowance.
func (c *stream) charge(n int) {
	if n > 0 && c.entered && !c.service.take(c.account, n) {
		c.answer = over{}
		c.wake()
	}
}

// over is an answer that was cut off.
type over struct{}

func (over) take(int) bool { return false }
func (over) give([]byte, time.Time) (int, time.Time, error) {
	return 0, time.Time{}, fmt.Errorf("measuring: the account's allowance is used up: %w", io.ErrUnexpectedEOF)
}

// CloseWrite says that no more comes of the client.
func (c *stream) CloseWrite() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	c.ended = true
	if c.answer == nil {
		c.refuse("400 Bad Request", "the request is not complete")
	} else if u, ok := c.answer.(*up); ok {
		u.over = true
	}
	c.wake()
	return nil
}

// Close ends the stream.
func (c *stream) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil
	}
	c.closed = true
	if c.entered {
		c.service.leave(c.account)
	}
	c.wake()
	return nil
}

// SetDeadline is for reads alone: writes do not wait.
func (c *stream) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

// SetWriteDeadline does nothing, for writes do not wait.
func (c *stream) SetWriteDeadline(time.Time) error { return nil }

// SetReadDeadline ends a Read that waits.
func (c *stream) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadline = t
	c.wake()
	return nil
}

// LocalAddr and RemoteAddr are no addresses: nothing was dialled.
func (c *stream) LocalAddr() net.Addr  { return nowhere{} }
func (c *stream) RemoteAddr() net.Addr { return nowhere{} }

type nowhere struct{}

func (nowhere) Network() string { return "tcp" }
func (nowhere) String() string  { return "0.0.0.0:0" }
