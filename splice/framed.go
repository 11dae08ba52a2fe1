package splice

import (
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// A FramedConn is one of the streams that a TLS connection carries one after the
// other. Its bytes go in frames, and an empty frame ends a direction: so the
// connection below can outlive the stream.
//
//	+--------+-----------------+
//	| LENGTH | BYTES           |
//	+--------+-----------------+
//	|   3    | 0 to maxFrame   |
//	+--------+-----------------+
//
// Close gives the connection back if both directions have ended in good order,
// and closes it otherwise. What the peer would have to guess about, the end of
// TLS before that of the stream, is io.ErrUnexpectedEOF. Once the connection is
// given back, nothing that is still done to the stream reaches it.
//
// It is made for joining as [TLSConn] is, and holds no buffer.
type FramedConn struct {
	tls   *TLSConn
	given func() // called when the connection is given back

	// These belong to the reading goroutine.
	first  []byte // bytes already read from tls
	length [frameHead]byte
	headed int // bytes of length that are here
	left   int // bytes of the frame that are to come

	write sync.Mutex // held for a whole write
	head  []byte     // goes in front of the first frame; guarded by write
	later later
	small int // bytes that went in small records; guarded by write

	mu       sync.Mutex // guards the rest, never held while waiting
	ended    bool       // the peer's direction has
	finished bool       // ours has
	broken   bool       // a write failed, or the stream is to be aborted
	closed   bool
	away     bool // the connection was given back
}

const (
	frameHead = 3
	maxFrame  = bufferSize
)

var errFrame = errors.New("frame too long: the peer is no Tributary, or a broken one")

// Framed begins a stream on c. First are bytes already read from c; head goes out
// in front of the first frame, in one write with it. Given is called when c is
// free for the next stream, at most once.
func Framed(c *TLSConn, first, head []byte, given func()) *FramedConn {
	return &FramedConn{tls: c, first: first, head: head, given: given}
}

// Wait returns when the stream's first bytes are there, or with an error. It holds
// no buffer.
func (c *FramedConn) Wait() error {
	if len(c.first) > 0 {
		return nil
	}
	if c.tls.below.sock == nil {
		n, err := c.tls.Read(c.length[c.headed:])
		c.headed += n
		return err
	}
	for {
		// What came right behind the last stream may be in TLS already, where no socket
		// announces it.
		n, err := c.tls.tryRead(c.length[c.headed:])
		if c.headed += n; n > 0 {
			return nil
		}
		if err == errNothing {
			err = c.tls.Wait()
		}
		if err != nil {
			return err
		}
	}
}

// Read reads the stream; io.EOF is its end in good order.
func (c *FramedConn) Read(p []byte) (int, error) { return c.read(p, c.tls.Read) }

func (c *FramedConn) tryRead(p []byte) (int, error) { return c.read(p, c.tls.tryRead) }

func (c *FramedConn) waitRead() error {
	if err := c.over(); err != nil {
		return err
	}
	return c.tls.waitRead()
}

// over returns an error if nothing is to be read any more.
func (c *FramedConn) over() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.ended:
		return io.EOF
	case c.closed:
		return net.ErrClosed
	}
	return nil
}

func (c *FramedConn) read(p []byte, below func([]byte) (int, error)) (int, error) {
	if err := c.over(); err != nil {
		return 0, err
	}
	if len(p) == 0 {
		return 0, nil
	}
	for c.left == 0 {
		for c.headed < frameHead {
			n, err := c.take(c.length[c.headed:], below)
			if c.headed += n; n == 0 {
				return 0, err
			}
		}
		c.left = int(c.length[0])<<16 | int(c.length[1])<<8 | int(c.length[2])
		if c.left > maxFrame {
			c.left = 0
			return 0, errFrame // and again at the next call, for headed stays
		}
		if c.headed = 0; c.left == 0 {
			c.mu.Lock()
			c.ended = true
			c.mu.Unlock()
			return 0, io.EOF
		}
	}
	n, err := c.take(p[:min(len(p), c.left)], below)
	c.left -= n
	if n > 0 {
		return n, nil // an error comes again
	}
	return 0, err
}

// take reads what was read before, or from below.
func (c *FramedConn) take(p []byte, below func([]byte) (int, error)) (n int, err error) {
	if len(c.first) > 0 {
		n = copy(p, c.first)
		if c.first = c.first[n:]; len(c.first) == 0 {
			c.first = nil
		}
		return n, nil
	}
	if n, err = below(p); n == 0 && err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// Write sends p as one frame, or as one for each 64 KiB. A Write of nothing sends
// nothing: an empty frame is the end.
func (c *FramedConn) Write(p []byte) (n int, err error) {
	c.write.Lock()
	defer c.write.Unlock()
	for err == nil && n < len(p) {
		before := c.later.take()
		frame := p[n:min(len(p), n+maxFrame-len(before))]
		if err = c.frame(before, frame); err == nil {
			n += len(frame)
		}
	}
	return n, err
}

// WriteLater has p, which is short and becomes the stream's, sent in front of the
// next write, or of the end, or when the time is over.
func (c *FramedConn) WriteLater(p []byte, within time.Duration) {
	c.write.Lock()
	defer c.write.Unlock()
	c.later.set(p, within, &c.write, func() { c.frame(c.later.take(), nil) })
}

// CloseWrite ends the stream's direction. The connection goes on.
func (c *FramedConn) CloseWrite() error {
	c.write.Lock()
	defer c.write.Unlock()
	if before := c.later.take(); len(before) > 0 {
		if err := c.frame(before, nil); err != nil {
			return err
		}
	}
	err := c.frame(nil, nil)
	if err == nil {
		c.mu.Lock()
		c.finished = true
		c.mu.Unlock()
	}
	return err
}

// frame writes one, of two parts.
func (c *FramedConn) frame(a, p []byte) error {
	c.mu.Lock()
	gone := c.finished || c.closed
	c.mu.Unlock()
	if gone {
		return net.ErrClosed
	}
	buf := gathers.Get().(*[gatherSize]byte)
	defer gathers.Put(buf)
	size := len(a) + len(p)
	b := append(buf[:0], c.head...)
	b = append(b, byte(size>>16), byte(size>>8), byte(size))
	b = append(b, a...)
	c.head = nil
	// With that in front, the first record is full if there is more.
	n := min(len(p), max(0, maxRecord-len(b)))
	write := c.tls.writeLarge
	if c.small < smallBytes {
		c.small += size
		write = c.tls.writeSmall
	}
	err := write(append(b, p[:n]...), p[n:])
	if err != nil {
		c.mu.Lock()
		c.broken = true // half a frame may be out
		c.mu.Unlock()
	}
	return err
}

// Bulky reports whether the stream has sent so much that its records became large.
// The peer's TLS then keeps a buffer of their size for as long as it lives.
func (c *FramedConn) Bulky() bool {
	c.write.Lock()
	defer c.write.Unlock()
	return c.small >= smallBytes
}

// Close ends the stream, and the connection unless that can serve another one.
func (c *FramedConn) Close() error {
	c.mu.Lock()
	clean := c.ended && c.finished && !c.broken && !c.closed
	c.closed = true
	c.away = c.away || clean && c.given != nil && c.headed == 0 && len(c.first) == 0
	away := c.away
	c.mu.Unlock()
	switch {
	case !away:
		return c.tls.Close()
	case !clean:
		return net.ErrClosed
	}
	c.given()
	return nil
}

// SetLinger is the connection's. With 0, Close becomes an abort of both.
func (c *FramedConn) SetLinger(sec int) error {
	return c.reach(func() error {
		c.broken = c.broken || sec == 0
		return c.tls.SetLinger(sec)
	})
}

// SetDeadline and its kin are the connection's.
func (c *FramedConn) SetDeadline(t time.Time) error {
	return c.reach(func() error { return c.tls.SetDeadline(t) })
}

// SetReadDeadline is as SetDeadline.
func (c *FramedConn) SetReadDeadline(t time.Time) error {
	return c.reach(func() error { return c.tls.SetReadDeadline(t) })
}

// SetWriteDeadline is as SetDeadline.
func (c *FramedConn) SetWriteDeadline(t time.Time) error {
	return c.reach(func() error { return c.tls.SetWriteDeadline(t) })
}

// reach does f to the connection below, unless that was given back: then it may
// carry another stream.
func (c *FramedConn) reach(f func() error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.away {
		return net.ErrClosed
	}
	return f()
}

// NetConn returns the socket below, or nil once the connection was given back.
func (c *FramedConn) NetConn() net.Conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.away {
		return nil
	}
	return c.tls.NetConn()
}

// LocalAddr and RemoteAddr are the connection's.
func (c *FramedConn) LocalAddr() net.Addr { return c.tls.LocalAddr() }

// RemoteAddr is as LocalAddr.
func (c *FramedConn) RemoteAddr() net.Addr { return c.tls.RemoteAddr() }

// Quiet reports whether there is nothing to read now. It is for who speaks first in
// the next stream: a byte that waits then belongs to none. Without a socket that
// cannot be found out, and it says yes.
func (c *TLSConn) Quiet() bool {
	if c.below.sock == nil {
		return true
	}
	var one [1]byte
	n, err := c.tryRead(one[:])
	return n == 0 && err == errNothing
}
