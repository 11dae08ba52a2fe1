package splice

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// A Framing turns a stream into sealed parts and back. It holds no bytes.
type Framing interface {
	// Seal appends plain as it goes on the wire.
	Seal(b, plain []byte) ([]byte, error)
	// End appends what ends the direction, where the format has such a thing.
	End(b []byte) []byte

	// Need is how many bytes the next part of the peer's direction takes: 1 to
	// 64 KiB and a little, or 0 if there is none to come.
	Need() int
	// Open opens that part in place. Plain is part of it; io.EOF is the end.
	Open(part []byte) (plain []byte, err error)
	// Whole reports whether the direction may end with TCP's.
	Whole() bool
}

// A SealedConn is a stream in sealed parts, made for joining as [TLSConn] is: it
// waits for input without a buffer, tells a cut-off stream from a finished one as
// far as its format can, can be aborted, and writes in one system call.
type SealedConn struct {
	net.Conn // the connection below

	// OnClose is as TLSConn's.
	OnClose func()

	// Arrived reports whether the peer has all that was written; nil is not known. Close
	// waits for that, outlastTime at most, where the format has said the end: a Multipath
	// TCP connection that is closed gets no new subflow (CloseWrite says why), so what is
	// still under way would be lost with the links that it has then.
	Arrived func() bool

	framing Framing
	sock    patient // nil where the connection cannot say that it would block

	// These belong to the reading goroutine.
	in       *[sealedSize]byte // nil while nothing waits
	from, to int               // what waits in it, still sealed
	plain    []byte            // part of in, opened and not read
	broken   error             // what Open said

	write sync.Mutex
	later later // guarded by write

	ended   atomic.Bool   // our direction, in the format's way
	closed  atomic.Bool   // or about to be
	gone    atomic.Bool   // aborted is closed
	aborted chan struct{} // ends the wait of Close
}

// outlastTime is how long a close may wait for what is under way. All links may be out
// for 5 minutes.
const outlastTime = 5 * time.Minute

// sealedSize holds the largest part of a [Framing], and what comes with it.
const sealedSize = 72 << 10

var sealedBuffers = sync.Pool{New: func() any { return new([sealedSize]byte) }}

// Sealed puts a framing on c. First are bytes already read from c.
func Sealed(c net.Conn, first []byte, framing Framing) *SealedConn {
	s := &SealedConn{Conn: c, framing: framing, aborted: make(chan struct{})}
	if t, ok := c.(*net.TCPConn); ok {
		if p, err := newPatientTCP(t); err == nil {
			s.sock = p
		}
	}
	if len(first) > 0 {
		s.in = sealedBuffers.Get().(*[sealedSize]byte)
		s.to = copy(s.in[:], first)
	}
	return s
}

// Read reads what was sealed. A peer's end of TCP inside of a part, or where the
// format says its end otherwise, is io.ErrUnexpectedEOF.
func (c *SealedConn) Read(p []byte) (int, error) { return c.read(p, c.Conn.Read) }

func (c *SealedConn) read(p []byte, below func([]byte) (int, error)) (int, error) {
	for len(c.plain) == 0 {
		err := c.broken
		switch need := c.framing.Need(); {
		case err != nil:
		case need > 0 && c.to-c.from >= need:
			part := c.in[c.from : c.from+need]
			c.from += need
			c.plain, err = c.framing.Open(part)
			c.broken = err
		default:
			err = c.fill(below)
		}
		if err != nil {
			if c.from == c.to || c.broken != nil {
				c.release()
			}
			return 0, err
		}
	}
	n := copy(p, c.plain)
	c.plain = c.plain[n:]
	return n, nil
}

// fill reads once from the connection below.
func (c *SealedConn) fill(below func([]byte) (int, error)) error {
	if c.in == nil {
		c.in = sealedBuffers.Get().(*[sealedSize]byte)
	}
	c.to = copy(c.in[:], c.in[c.from:c.to])
	c.from = 0
	n, err := below(c.in[c.to:])
	c.to += n
	switch {
	case n > 0:
		return nil // an error comes again
	case err == io.EOF && (c.to > 0 || !c.framing.Whole()):
		return io.ErrUnexpectedEOF
	case err == nil:
		return io.ErrNoProgress
	}
	return err
}

func (c *SealedConn) release() {
	if c.in != nil {
		sealedBuffers.Put(c.in)
	}
	c.in, c.plain, c.from, c.to = nil, nil, 0, 0
}

func (c *SealedConn) tryRead(p []byte) (int, error) { return c.read(p, c.sock.tryRead) }

func (c *SealedConn) waitRead() error { return c.sock.waitRead() }

// Write seals p and sends it in one write, or in one for each 64 KiB. A Write of
// nothing sends what the framing says in front of its first byte.
func (c *SealedConn) Write(p []byte) (n int, err error) {
	c.write.Lock()
	defer c.write.Unlock()
	if before := c.later.take(); len(before) > 0 {
		n = min(len(p), maxRecord)
		if err := c.seal(append(before, p[:n]...)); err != nil || n == len(p) {
			return n, err
		}
	}
	buf := gathers.Get().(*[gatherSize]byte)
	defer gathers.Put(buf)
	for {
		m := min(len(p)-n, bufferSize)
		sealed, err := c.framing.Seal(buf[:0], p[n:n+m])
		if err != nil {
			return n, err
		}
		if len(sealed) > 0 {
			if _, err := c.Conn.Write(sealed); err != nil {
				return n, err
			}
		}
		if n += m; n == len(p) {
			return n, nil
		}
	}
}

// seal writes p, which is short.
func (c *SealedConn) seal(p []byte) error {
	sealed, err := c.framing.Seal(nil, p)
	if err == nil {
		_, err = c.Conn.Write(sealed)
	}
	return err
}

// WriteLater is as FramedConn's.
func (c *SealedConn) WriteLater(p []byte, within time.Duration) {
	c.write.Lock()
	defer c.write.Unlock()
	c.later.set(p, within, &c.write, func() { c.seal(c.later.take()) })
}

// CloseWrite ends the direction: with the format's own end, or with TCP's where the
// format has none. Both would do harm: from TCP's end of either direction on, Linux
// lets no subflow join an MPTCP connection any more, so that it could not outlive the
// links it has then (mptcp_is_fully_established in net/mptcp/protocol.h).
func (c *SealedConn) CloseWrite() error {
	c.write.Lock()
	defer c.write.Unlock()
	if before := c.later.take(); len(before) > 0 {
		if err := c.seal(before); err != nil {
			return err
		}
	}
	if end := c.framing.End(nil); len(end) > 0 {
		_, err := c.Conn.Write(end)
		c.ended.Store(err == nil)
		return err
	}
	if half, ok := c.Conn.(Conn); ok {
		return half.CloseWrite()
	}
	return nil
}

// NetConn returns the connection below: the socket itself.
func (c *SealedConn) NetConn() net.Conn { return c.Conn }

// SetLinger is the socket's. With 0, Close becomes an abort.
func (c *SealedConn) SetLinger(sec int) error {
	var err error
	if s, ok := c.Conn.(interface{ SetLinger(sec int) error }); ok {
		err = s.SetLinger(sec)
	}
	if sec == 0 && c.gone.CompareAndSwap(false, true) {
		close(c.aborted)
	}
	return err
}

// outlast waits until the peer has all, if that is worth it.
func (c *SealedConn) outlast() {
	if c.Arrived == nil || !c.ended.Load() {
		return
	}
	start := time.Now()
	for wait := 5 * time.Millisecond; !c.Arrived() && time.Since(start) < outlastTime; wait = min(2*wait, time.Second) {
		select {
		case <-c.aborted:
			return
		case <-time.After(wait):
		}
	}
}

// Close closes the connection below, when the peer has all.
func (c *SealedConn) Close() error {
	if !c.closed.CompareAndSwap(false, true) {
		return net.ErrClosed
	}
	c.outlast()
	if c.OnClose != nil {
		c.OnClose()
	}
	return c.Conn.Close()
}
