package proxytest

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// Window is how many bytes may be under way in one direction, written and not yet
// read. A Write blocks beyond it, and the reader's consent takes the wire's
// delay to come back, as TCP's does.
const Window = 64 << 10

// Wire returns the two ends of a stream whose bytes take delay from one end to
// the other. It has no limit on the rate. It behaves like a TCP connection:
//
//   - the two directions end separately (CloseWrite);
//   - after SetLinger(0), Close makes the peer's calls fail with ECONNRESET;
//   - so does a Close on unread bytes, and a Write to an end that was closed. A
//     reset destroys what the peer did not read yet, as it may on real
//     systems: a protocol must not let its last words be overtaken.
func Wire(delay time.Duration) (a, b *End) {
	w := &wire{delay: delay, changed: make(chan struct{})}
	a = &End{wire: w, space: Window, addr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 40000}}
	b = &End{wire: w, space: Window, addr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 2), Port: 1080}}
	a.peer, b.peer = b, a
	return a, b
}

// wire is what two ends share.
type wire struct {
	delay   time.Duration
	mu      sync.Mutex
	changed chan struct{} // closed and replaced at each change of an end
}

// An End is one end of a [Wire]. It is a proxy.Conn.
type End struct {
	*wire
	peer *End
	addr net.Addr

	in          []segment // towards this end, oldest first
	eof, reset  time.Time // when they arrive here, or zero
	space       int       // how much more may be sent now
	acks        []segment // space that comes back
	writeClosed bool
	closed      bool
	noLinger    bool

	readDeadline, writeDeadline time.Time

	count     Count
	lastWrite time.Time
}

// A segment is data under way, or space when size is all that counts.
type segment struct {
	at   time.Time
	data []byte
	size int
}

// A Count says what an end did so far.
type Count struct {
	Bytes   int64 // that were written
	Writes  int   // calls of Write
	Flights int   // groups of Writes at the same instant, which means something in virtual time only
	Reads   int   // calls of Read that returned bytes
}

// Count returns what this end did so far.
func (e *End) Count() Count {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.count
}

// Read returns what has arrived, up to the size of p.
func (e *End) Read(p []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for {
		now := time.Now()
		switch {
		case e.closed:
			return 0, e.fail("read", net.ErrClosed)
		case past(e.readDeadline, now):
			return 0, e.fail("read", os.ErrDeadlineExceeded)
		case past(e.reset, now):
			e.in = nil
			return 0, e.fail("read", syscall.ECONNRESET)
		case len(p) == 0:
			return 0, nil
		}
		if n := e.take(p, now); n > 0 {
			e.count.Reads++
			e.peer.acks = append(e.peer.acks, segment{at: now.Add(e.delay), size: n})
			e.wake()
			return n, nil
		}
		if len(e.in) == 0 && past(e.eof, now) {
			return 0, io.EOF
		}
		var next time.Time
		if len(e.in) > 0 {
			next = e.in[0].at
		}
		e.wait(now, next, e.eof, e.reset, e.readDeadline)
	}
}

// take moves what has arrived into p.
func (e *End) take(p []byte, now time.Time) (n int) {
	for n < len(p) && len(e.in) > 0 && past(e.in[0].at, now) {
		m := copy(p[n:], e.in[0].data)
		n += m
		if e.in[0].data = e.in[0].data[m:]; len(e.in[0].data) == 0 {
			e.in = e.in[1:]
		}
	}
	return n
}

// Write sends p, and blocks while more than [Window] bytes are under way.
func (e *End) Write(p []byte) (n int, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.count.Writes++
	for {
		now := time.Now()
		switch {
		case e.closed:
			return n, e.fail("write", net.ErrClosed)
		case past(e.writeDeadline, now):
			return n, e.fail("write", os.ErrDeadlineExceeded)
		case past(e.reset, now):
			return n, e.fail("write", syscall.ECONNRESET)
		case e.writeClosed:
			return n, e.fail("write", syscall.EPIPE)
		}
		for len(e.acks) > 0 && past(e.acks[0].at, now) {
			e.space += e.acks[0].size
			e.acks = e.acks[1:]
		}
		if m := min(len(p), e.space); m > 0 {
			e.send(p[:m], now)
			p, n = p[m:], n+m
		}
		if len(p) == 0 {
			return n, nil
		}
		var next time.Time
		if len(e.acks) > 0 {
			next = e.acks[0].at
		}
		e.wait(now, next, e.reset, e.writeDeadline)
	}
}

func (e *End) send(p []byte, now time.Time) {
	e.count.Bytes += int64(len(p))
	if e.count.Flights == 0 || !now.Equal(e.lastWrite) {
		e.count.Flights++
		e.lastWrite = now
	}
	e.space -= len(p)
	if e.peer.closed { // nobody is there any more
		e.resetAt(now.Add(2 * e.delay))
		return
	}
	e.peer.in = append(e.peer.in, segment{at: now.Add(e.delay), data: append([]byte(nil), p...)})
	e.wake()
}

// wake lets all that wait look again. The mutex is held.
func (w *wire) wake() {
	close(w.changed)
	w.changed = make(chan struct{})
}

// wait gives up the mutex until something changes or the earliest of the times
// has come. Zero times never come.
func (w *wire) wait(now time.Time, times ...time.Time) {
	var first time.Time
	for _, t := range times {
		if !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	changed := w.changed
	w.mu.Unlock()
	defer w.mu.Lock()
	if first.IsZero() {
		<-changed
		return
	}
	timer := time.NewTimer(first.Sub(now))
	defer timer.Stop()
	select {
	case <-changed:
	case <-timer.C:
	}
}

// past reports whether t is set and has come.
func past(t, now time.Time) bool { return !t.IsZero() && !now.Before(t) }
