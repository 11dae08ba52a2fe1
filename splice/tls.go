package splice

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
)

// A TLSConn is a TLS session made for joining: it can wait for input without a
// buffer, it tells a cut-off stream from a finished one, and it can be aborted.
type TLSConn struct {
	*tls.Conn

	// OnClose, if set before the first Close, is called once while the socket is
	// still open: the last moment to ask the kernel what it carried.
	OnClose func()

	below   *below
	aborted atomic.Bool
	close   sync.Once
}

// ServerTLS starts the server side of TLS on c. First are bytes already read
// from c. The handshake runs with the first Read, Write or Handshake.
func ServerTLS(c net.Conn, first []byte, config *tls.Config) *TLSConn {
	b := newBelow(c, first)
	return &TLSConn{Conn: tls.Server(b, config), below: b}
}

// ClientTLS starts the client side of TLS on c, as ServerTLS does the other.
func ClientTLS(c net.Conn, config *tls.Config) *TLSConn {
	b := newBelow(c, nil)
	return &TLSConn{Conn: tls.Client(b, config), below: b}
}

// Read is tls.Conn's, but a peer that ends TCP without ending TLS has not
// finished: that is io.ErrUnexpectedEOF (RFC 8446 section 6.1).
func (c *TLSConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err == io.EOF && c.below.ended {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// Write is tls.Conn's, but the records of one Write leave in one system call.
func (c *TLSConn) Write(p []byte) (int, error) {
	if len(p) <= maxRecord {
		return c.Conn.Write(p)
	}
	c.below.gather()
	n, err := c.Conn.Write(p)
	if flushErr := c.below.flush(); err == nil && flushErr != nil {
		n, err = 0, flushErr
	}
	return n, err
}

// writeLarge writes a, of one record at most, and b behind it in one system call.
func (c *TLSConn) writeLarge(a, b []byte) error {
	if len(b) == 0 {
		_, err := c.Write(a)
		return err
	}
	c.below.gather()
	_, err := c.Conn.Write(a)
	if err == nil {
		_, err = c.Conn.Write(b)
	}
	if flushErr := c.below.flush(); err == nil {
		err = flushErr
	}
	return err
}

// A receiver can use nothing of a record before it has all of it, and over several
// links its parts arrive at different times. So a stream begins with records of
// about a segment, as crypto/tls has it at the beginning of a connection.
const (
	smallBytes  = 128 << 10
	smallRecord = 1200
)

// writeSmall is writeLarge in small records.
func (c *TLSConn) writeSmall(a, b []byte) (err error) {
	c.below.gather()
	for _, p := range [2][]byte{a, b} {
		for len(p) > 0 && err == nil {
			n := min(len(p), smallRecord)
			_, err = c.Conn.Write(p[:n])
			p = p[n:]
		}
	}
	if flushErr := c.below.flush(); err == nil {
		err = flushErr
	}
	return err
}

// Wait returns nil when the peer has sent something, and an error when the
// stream has ended or the read deadline has passed. Nothing is taken from the
// stream, except where the system has no readiness calls.
func (c *TLSConn) Wait() error {
	if c.below.sock != nil {
		return c.below.sock.waitRead()
	}
	_, err := c.Read(make([]byte, 1))
	return err
}

// NetConn returns the connection below TLS: the socket itself.
func (c *TLSConn) NetConn() net.Conn { return c.below.Conn }

// SetLinger is the socket's. With 0, Close becomes an abort: it sends a reset and
// no close_notify, which would make the stream look finished.
func (c *TLSConn) SetLinger(sec int) error {
	s, ok := c.below.Conn.(interface{ SetLinger(sec int) error })
	if !ok {
		return nil
	}
	c.aborted.Store(sec == 0)
	return s.SetLinger(sec)
}

// Close ends TLS and the connection below it.
func (c *TLSConn) Close() error {
	err := net.ErrClosed
	c.close.Do(func() {
		if c.OnClose != nil {
			c.OnClose()
		}
		if c.aborted.Load() {
			err = c.below.Conn.Close()
		} else {
			err = c.Conn.Close()
		}
	})
	// A Close that waits for room to say goodbye must not hold up an abort.
	if errors.Is(err, net.ErrClosed) && c.aborted.Load() {
		err = c.below.Conn.Close()
	}
	return err
}

func (c *TLSConn) tryRead(p []byte) (int, error) {
	c.below.try = true
	n, err := c.Read(p)
	c.below.try = false
	return n, err
}

func (c *TLSConn) waitRead() error { return c.below.sock.waitRead() }

// maxRecord is the most plaintext that one record holds (RFC 8446 section 5.1).
const maxRecord = 16 << 10

// gatherSize holds the records of one full buffer with their headers and tags.
const gatherSize = bufferSize + 8<<10

var gathers = sync.Pool{New: func() any { return new([gatherSize]byte) }}

// below is the connection as TLS sees it. The first four fields belong to the
// reading goroutine.
type below struct {
	net.Conn
	sock  patient // nil where the connection cannot say that it would block
	first []byte  // bytes to be read before those of Conn
	try   bool    // report errNothing where Read would block
	ended bool    // the TCP stream has ended

	mu       sync.Mutex // both goroutines write: the reading one sends key updates
	gathered []byte     // records that wait for flush; nil when none may wait
}

// gather makes records wait for flush.
func (b *below) gather() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.gathered = gathers.Get().(*[gatherSize]byte)[:0]
}

// flush writes what waits.
func (b *below) flush() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	waiting := b.gathered
	b.gathered = nil
	_, err := b.Conn.Write(waiting)
	gathers.Put((*[gatherSize]byte)(waiting[:gatherSize]))
	return err
}

// Write serves crypto/tls.
func (b *below) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.gathered == nil {
		return b.Conn.Write(p)
	}
	if len(b.gathered)+len(p) <= gatherSize {
		b.gathered = append(b.gathered, p...)
		return len(p), nil
	}
	if _, err := b.Conn.Write(b.gathered); err != nil {
		return 0, err
	}
	b.gathered = append(b.gathered[:0], p...)
	return len(p), nil
}

func newBelow(c net.Conn, first []byte) *below {
	b := &below{Conn: c, first: first}
	if t, ok := c.(*net.TCPConn); ok {
		if p, err := newPatientTCP(t); err == nil {
			b.sock = p
		}
	}
	return b
}

// Read serves crypto/tls.
func (b *below) Read(p []byte) (n int, err error) {
	switch {
	case len(b.first) > 0:
		n = copy(p, b.first)
		if b.first = b.first[n:]; len(b.first) == 0 {
			b.first = nil
		}
		return n, nil
	case b.try:
		n, err = b.sock.tryRead(p)
	default:
		n, err = b.Conn.Read(p)
	}
	if err == io.EOF {
		b.ended = true
	}
	return n, err
}
