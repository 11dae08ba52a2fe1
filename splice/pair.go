package splice

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"time"
)

// A Conn is a stream whose two directions end separately.
type Conn interface {
	net.Conn
	CloseWrite() error
}

// ErrIdle is the error of a pair that was ended because nothing moved.
var ErrIdle = errors.New("idle for too long")

// A Pair is two joined streams, named by their roles in a session: the client,
// who asked, and the server, who was asked for. The fields are set before Run.
type Pair struct {
	Client, Server Conn

	// Idle ends the pair, with a reset, after this long without a byte in either
	// direction; 0 means never. Dead peers are keepalive's matter, so this is
	// only about peers that live and forgot.
	Idle time.Duration

	up, down atomic.Int64
}

// Counts returns the bytes carried so far: up from the client to the server, and
// down. It may be called at any time.
func (p *Pair) Counts() (up, down int64) { return p.up.Load(), p.down.Load() }

// Run carries bytes both ways until both directions have ended, then closes both
// streams. Its error says which step failed; it is nil if both directions ended
// in good order. The end of ctx resets both streams.
func (p *Pair) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, p.abort)
	defer stop()
	var idle atomic.Bool
	if p.Idle > 0 {
		watch := p.watchIdle(&idle)
		defer watch.Stop()
	}

	upDone := make(chan error, 1)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		err := p.direction("client", p.Client, "server", p.Server, &p.up)
		upDone <- err
		if c, ok := p.Client.(*net.TCPConn); ok && err == nil {
			watchGone(c, p.abort)
		}
	}()
	downErr := p.direction("server", p.Server, "client", p.Client, &p.down)
	upErr := <-upDone

	p.Client.Close()
	p.Server.Close()
	<-watched
	switch {
	case idle.Load():
		return ErrIdle
	case ctx.Err() != nil && (upErr != nil || downErr != nil):
		return context.Cause(ctx)
	}
	return firstCause(upErr, downErr)
}

// direction carries src to dst and passes on how src ended.
func (p *Pair) direction(from string, src Conn, to string, dst Conn, n *atomic.Int64) error {
	err := carry(dst, src, n)
	if err == nil {
		if err = dst.CloseWrite(); err == nil || errors.Is(err, net.ErrClosed) {
			return nil
		}
		err = &writeError{err}
	}
	p.abort()
	var w *writeError
	if errors.As(err, &w) {
		return fmt.Errorf("write to %s: %w", to, w.err)
	}
	return fmt.Errorf("read from %s: %w", from, err)
}

func (p *Pair) abort() {
	Abort(p.Client)
	Abort(p.Server)
}

// watchIdle looks at the counts once per idle period, which costs nothing per
// byte and ends a pair between one and two periods after its last one.
func (p *Pair) watchIdle(ended *atomic.Bool) *time.Timer {
	last := int64(-1)
	var t *time.Timer
	ready := make(chan struct{})
	t = time.AfterFunc(p.Idle, func() {
		<-ready
		up, down := p.Counts()
		if up+down == last {
			ended.Store(true)
			p.abort()
			return
		}
		last = up + down
		t.Reset(p.Idle)
	})
	close(ready)
	return t
}

// firstCause picks the error that tells more: when one direction fails, its abort
// makes the other fail with a closed connection.
func firstCause(a, b error) error {
	if a == nil || errors.Is(a, net.ErrClosed) && b != nil {
		return b
	}
	return a
}

// A writeError marks the failures of the receiving side.
type writeError struct{ err error }

func (e *writeError) Error() string { return e.err.Error() }
func (e *writeError) Unwrap() error { return e.err }

// Abort closes c so that its peer sees a reset, not an orderly end. It reaches
// through encryption to the TCP or MPTCP socket below; a stream without one is
// just closed. Closing twice is harmless.
func Abort(c net.Conn) error {
	for inner := c; ; {
		switch t := inner.(type) {
		case interface{ SetLinger(sec int) error }:
			if err := t.SetLinger(0); err != nil && !errors.Is(err, net.ErrClosed) && !errors.Is(err, os.ErrInvalid) {
				inner.Close()
				return fmt.Errorf("reset connection: %w", err)
			}
			return inner.Close()
		case interface{ NetConn() net.Conn }:
			inner = t.NetConn()
		default:
			return c.Close()
		}
	}
}
