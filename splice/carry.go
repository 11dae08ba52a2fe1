package splice

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
)

// bufferSize is what one turn of an encrypted direction moves at most: four full
// TLS records. Larger buffers gained nothing measurable.
const bufferSize = 64 << 10

// buffers are shared by all pairs of the process; that is the point of them.
var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

// A patient stream can say that it has nothing to read, so that nobody needs to
// hold a buffer while waiting for it.
type patient interface {
	// tryRead is Read, but returns errNothing where Read would block.
	tryRead(p []byte) (int, error)
	// waitRead returns when tryRead has something to say again.
	waitRead() error
}

// errNothing is what tryRead returns where Read would block. It calls itself
// temporary because crypto/tls then keeps the session usable.
var errNothing = &nothing{}

type nothing struct{}

func (*nothing) Error() string   { return "nothing to read yet" }
func (*nothing) Timeout() bool   { return true }
func (*nothing) Temporary() bool { return true }

// An Opening is a stream whose far side may not have answered yet. It can be
// written to at once; Settle waits for the answer and returns the stream to read
// from, or the refusal.
type Opening interface {
	Settle() (Conn, error)
}

// carry moves src to dst until src ends (nil) or one of them fails. Failures to
// write are writeErrors.
func carry(dst, src Conn, n *atomic.Int64) error {
	if o, ok := src.(Opening); ok {
		var err error
		if src, err = o.Settle(); err != nil {
			return err
		}
	}
	if s, ok := src.(*net.TCPConn); ok {
		if d, ok := dst.(*net.TCPConn); ok {
			if done, err := kernelCarry(d, s, n); done {
				return err
			}
		}
	}
	if p := patientOf(src); p != nil {
		return patientCarry(dst, p, n)
	}
	return plainCarry(dst, src, n)
}

// patientOf returns src as a patient stream, or nil where it cannot be one.
func patientOf(src Conn) patient {
	switch s := src.(type) {
	case *net.TCPConn:
		if p, err := newPatientTCP(s); err == nil {
			return p
		}
	case *TLSConn:
		if s.below.sock != nil {
			return s
		}
	case *FramedConn:
		if s.tls.below.sock != nil {
			return s
		}
	case *SealedConn:
		if s.sock != nil {
			return s
		}
	}
	return nil
}

// patientCarry takes a buffer only when src has something to read, fills it as
// far as src gives without waiting, and writes once.
func patientCarry(dst io.Writer, src patient, n *atomic.Int64) error {
	for {
		// First what is there: TLS may hold bytes that no socket will announce.
		err := burst(dst, src, n)
		if err == nil {
			err = src.waitRead()
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// burst moves what src has now. It returns nil when src has nothing more.
func burst(dst io.Writer, src patient, n *atomic.Int64) error {
	buf := buffers.Get().(*[bufferSize]byte)
	defer buffers.Put(buf)
	for {
		var filled int
		var readErr error
		for filled < bufferSize && readErr == nil {
			var m int
			m, readErr = src.tryRead(buf[filled:])
			filled += m
		}
		if filled > 0 {
			m, err := dst.Write(buf[:filled])
			n.Add(int64(m))
			if err != nil {
				return &writeError{err}
			}
		}
		if readErr == errNothing {
			return nil
		}
		if readErr != nil {
			return readErr
		}
	}
}

// plainCarry serves streams that cannot say whether they would block: those in
// memory, and sockets on systems without readiness calls.
func plainCarry(dst io.Writer, src io.Reader, n *atomic.Int64) error {
	buf := buffers.Get().(*[bufferSize]byte)
	defer buffers.Put(buf)
	for {
		m, readErr := src.Read(buf[:])
		if m > 0 {
			w, err := dst.Write(buf[:m])
			n.Add(int64(w))
			if err != nil {
				return &writeError{err}
			}
		}
		if readErr == io.EOF {
			return nil
		}
		if readErr != nil {
			return readErr
		}
	}
}
