package splice

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// pipeSize is asked for each pipe: the most that an unprivileged user may have.
// On loopback a stream through the relay ran at 0.85 of one without it, and at 0.5
// with a quarter of this. When the user's budget (pipe-user-pages-soft, 64 MiB) is
// used up, further pipes stay at the default of 64 KiB.
const pipeSize = 1 << 20

// firstSplice is what the first splice of a direction asks for at most, and each
// next one four times as much once so much came, up to a whole pipe. From a
// Multipath TCP socket the kernel takes pages for all that it is asked for, and
// gives back what it did not need: 256 of them cost more than opening a connection.
const firstSplice = 64 << 10

// A pipe is the kernel buffer between two sockets.
type pipe struct{ r, w int }

// pipes keeps a few empty pipes, which cost two system calls to make and two to
// set up. What does not fit is closed.
var pipes = make(chan *pipe, maxPipes)

func getPipe() (*pipe, error) {
	select {
	case p := <-pipes:
		return p, nil
	default:
	}
	var fd [2]int
	if err := unix.Pipe2(fd[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return nil, fmt.Errorf("make a pipe: %w", err)
	}
	// Refused only when the user's budget is used up; then the default of 64 KiB
	// serves as well.
	unix.FcntlInt(uintptr(fd[1]), unix.F_SETPIPE_SZ, pipeSize)
	return &pipe{fd[0], fd[1]}, nil
}

// put gives an empty pipe back.
func (p *pipe) put() {
	select {
	case pipes <- p:
	default:
		p.close()
	}
}

func (p *pipe) close() {
	unix.Close(p.r)
	unix.Close(p.w)
}

// kernelCarry moves src to dst with splice(2). It reports false if it moved
// nothing because there is no pipe to be had (descriptors are short); the caller
// then copies instead.
func kernelCarry(dst, src *net.TCPConn, n *atomic.Int64) (done bool, err error) {
	rs, err := src.SyscallConn()
	if err != nil {
		return true, err
	}
	rd, err := dst.SyscallConn()
	if err != nil {
		return true, &writeError{err}
	}
	m := mover{n: n, most: firstSplice}
	fill, drain := m.fill, m.drain // two closures for the direction's whole life
	defer m.release()
	for {
		if err := rs.Read(fill); err != nil {
			return true, err
		}
		switch {
		case m.noPipe:
			return false, nil
		case m.err != nil:
			return true, m.err
		case m.inPipe == 0:
			return true, nil
		}
		if err := rd.Write(drain); err != nil {
			return true, &writeError{err}
		}
		if m.err != nil {
			return true, &writeError{os.NewSyscallError("splice", m.err)}
		}
	}
}

// A mover is one direction's state between the two callbacks.
type mover struct {
	pipe   *pipe // nil while waiting for input
	inPipe int
	err    error
	noPipe bool
	most   int // that the next splice asks for
	one    [1]byte
	n      *atomic.Int64
}

// fill moves what the source has into a pipe; false means wait for input, for
// which the pipe is given back. It looks first whether there is anything, because
// of what a splice costs that finds nothing.
func (m *mover) fill(fd uintptr) bool {
	n, err := ignoringEINTR(func() (int, error) {
		n, _, err := unix.Recvfrom(int(fd), m.one[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		return n, err
	})
	switch {
	case err == unix.EAGAIN:
		m.release()
		return false
	case err != nil || n == 0:
		m.inPipe, m.err = 0, os.NewSyscallError("recv", err)
		return true
	}
	if m.pipe == nil {
		if m.pipe, err = getPipe(); err != nil {
			m.noPipe = true
			return true
		}
	}
	for {
		n, err := unix.Splice(int(fd), nil, m.pipe.w, nil, m.most, unix.SPLICE_F_MOVE|unix.SPLICE_F_NONBLOCK)
		switch err {
		case unix.EINTR:
		case unix.EAGAIN:
			m.release()
			return false
		default:
			m.inPipe, m.err = int(n), os.NewSyscallError("splice", err)
			if int(n) == m.most {
				m.most = min(4*m.most, pipeSize)
			}
			return true
		}
	}
}

// drain empties the pipe into the destination; false means wait for room.
func (m *mover) drain(fd uintptr) bool {
	for m.inPipe > 0 {
		n, err := unix.Splice(m.pipe.r, nil, int(fd), nil, m.inPipe, unix.SPLICE_F_MOVE|unix.SPLICE_F_NONBLOCK)
		switch err {
		case nil:
			m.inPipe -= int(n)
			m.n.Add(int64(n))
		case unix.EINTR:
		case unix.EAGAIN:
			return false
		default:
			m.err = err
			return true
		}
	}
	return true
}

// release gives the pipe back, or closes it if bytes are left in it.
func (m *mover) release() {
	switch {
	case m.pipe == nil:
		return
	case m.inPipe == 0 && m.err == nil:
		m.pipe.put()
	default:
		m.pipe.close()
	}
	m.pipe = nil
}

// A patientTCP reads a bare socket without waiting.
type patientTCP struct {
	raw  syscall.RawConn
	buf  []byte
	one  [1]byte
	n    int
	err  error
	read func(fd uintptr) bool
	wait func(fd uintptr) bool
}

func newPatientTCP(c *net.TCPConn) (*patientTCP, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	p := &patientTCP{raw: raw}
	p.read = func(fd uintptr) bool {
		p.n, p.err = ignoringEINTR(func() (int, error) { return unix.Read(int(fd), p.buf) })
		return true
	}
	p.wait = func(fd uintptr) bool {
		_, p.err = ignoringEINTR(func() (int, error) {
			n, _, err := unix.Recvfrom(int(fd), p.one[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
			return n, err
		})
		return p.err != unix.EAGAIN
	}
	return p, nil
}

func (p *patientTCP) tryRead(b []byte) (int, error) {
	p.buf = b
	err := p.raw.Read(p.read)
	p.buf = nil
	switch {
	case err != nil:
		return 0, err
	case errors.Is(p.err, unix.EAGAIN):
		return 0, errNothing
	case p.err != nil:
		return 0, os.NewSyscallError("read", p.err)
	case p.n == 0 && len(b) > 0:
		return 0, io.EOF
	}
	return p.n, nil
}

// waitRead returns the error it meets: the kernel tells of a reset only once, and
// the next read would take it for an orderly end.
func (p *patientTCP) waitRead() error {
	if err := p.raw.Read(p.wait); err != nil {
		return err
	}
	return os.NewSyscallError("recv", p.err)
}

func ignoringEINTR(f func() (int, error)) (int, error) {
	for {
		n, err := f()
		if err != unix.EINTR {
			return n, err
		}
	}
}
