package gateway

import (
	"context"
	"errors"
	"net"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"tributary/mptcp"
	"tributary/proxy"
	"tributary/splice"
)

// A rival asks for a tunnel's stream a second time, over another link, because the
// first may be failing. Both requests have one flow, by which the relay opens the
// stream once: for the one that comes first; the other one is told that it is a
// duplicate. So who is told anything else has won.
type rival struct {
	cancel context.CancelFunc
	conn   atomic.Pointer[relayConn] // once the request is on its way
	done   chan struct{}
	err    error // what became of it; read when done is closed

	order chan struct{} // full while somebody writes to conn
	upTo  int           // the place in the stream up to which the request went
	ended bool          // the client's end went with it
}

var errRivalLate = errors.New("too late for a second request")

func (t *tunnel) rivalOf() *rival {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.rival
}

// dropRival forgets one that has lost, so that there may be another.
func (t *tunnel) dropRival() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.rival == nil {
		return
	}
	select {
	case <-t.rival.done:
		t.rival.cancel()
		t.rival = nil
	default: // begun when the other one had failed already
	}
}

// pass gives a rival what the client has sent at a place of the stream, unless its
// request had it already. Took is false where there is no rival yet: then its
// request will have it.
func (r *rival) pass(own *relayConn, at int, p []byte) (n int, err error, took bool) {
	if r == nil {
		return 0, nil, false
	}
	r.order <- struct{}{}
	defer func() { <-r.order }()
	conn := r.conn.Load()
	switch {
	case conn == nil || conn == own: // which has won, and has had it just now
		return 0, nil, false
	case at < r.upTo:
		return len(p), nil, true
	}
	n, err = conn.Write(p)
	return n, err, true
}

// passEnd is pass for the client's end.
func (r *rival) passEnd(own *relayConn) {
	if r == nil {
		return
	}
	r.order <- struct{}{}
	defer func() { <-r.order }()
	if conn := r.conn.Load(); conn != nil && conn != own && !r.ended {
		conn.CloseWrite()
	}
}

// race begins one, if there is none and one can be had.
func (t *tunnel) race() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.rival != nil || t.settled || t.overflow || t.flow == (proxy.Flow{}) {
		return
	}
	r := &rival{done: make(chan struct{}), order: make(chan struct{}, 1)}
	t.rival = r
	t.dialer.upstream.raced.Add(1)
	ctx, cancel := context.WithCancel(t.ctx)
	r.cancel = cancel
	flow := t.flow
	go func() { // ends with its context, for which Settle cares
		defer close(r.done)
		r.err = t.compete(ctx, r, flow)
		if r.err == nil || refusedFor(r.err) {
			t.wake(t.conn.Load())
		}
	}()
}

// refusedFor reports whether err is what the relay says of the destination.
func refusedFor(err error) bool {
	var refusal *proxy.Error
	if !errors.As(err, &refusal) {
		return false
	}
	switch refusal.Reason {
	case proxy.Duplicate, proxy.Overloaded, proxy.RelayUnreachable:
		return false
	}
	return true
}

// compete carries the rival to its answer.
func (t *tunnel) compete(ctx context.Context, r *rival, flow proxy.Flow) error {
	soon, cancel := t.dialer.upstream.patient(ctx, t.until)
	conn, err := t.dialer.elsewhere(soon, t.to, flow)
	cancel()
	if err != nil {
		return err
	}
	below := conn.stream // second replaces it
	stop := context.AfterFunc(ctx, func() { splice.Abort(below) })
	defer stop()
	base, known := conn.written()
	defer t.dialer.upstream.whenGivenUp(t.until, openTime, patience, func() {
		if n, ok := conn.acked(); known && ok && n <= base {
			r.cancel()
		}
	})()
	if err = t.second(ctx, conn, r, flow); err == nil {
		late := t.dialer.upstream.whenGivenUp(time.Now().Add(answerTime), answerTime, answerPatience, r.cancel)
		err = t.read(conn)
		late()
	}
	if err == nil && !stop() {
		err = ctx.Err()
	}
	if err != nil {
		splice.Abort(conn)
	}
	return err
}

// second writes the request with all that the client has sent until now. From then
// on both connections get what it sends.
func (t *tunnel) second(ctx context.Context, conn *relayConn, r *rival, flow proxy.Flow) error {
	select {
	case r.order <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-r.order }()
	t.mu.Lock()
	sent, late := t.sent, t.overflow || t.settled
	r.upTo, r.ended = t.given, t.ended
	if !late {
		t.asked++
	}
	t.mu.Unlock()
	if late {
		return errRivalLate
	}
	msg, err := t.message(conn, flow, sent)
	if err != nil {
		return err
	}
	r.conn.Store(conn)
	return t.send(conn, msg, r.ended)
}

// judge weighs what the tunnel's own connection has said, or failed with, against
// the rival, if there is one. It returns what is to be done as if it had come from
// one connection.
func (t *tunnel) judge(conn *relayConn, err error, broke bool) (*relayConn, error) {
	if err == nil || refusedFor(err) {
		return conn, err
	}
	r := t.rivalOf()
	if r == nil {
		return conn, t.undoubled(err, nil, conn)
	}
	<-r.done
	switch {
	case r.err == nil:
		t.dialer.upstream.won.Add(1)
		won := r.conn.Load()
		t.conn.Store(won)
		if t.closed.Load() { // Close may have met the one before
			splice.Abort(won)
			return conn, net.ErrClosed
		}
		t.blame(conn)
		splice.Abort(conn)
		return won, nil
	case refusedFor(r.err):
		return conn, r.err
	case duplicate(r.err) && !duplicate(err) && !broke:
		err = errLost
	}
	return conn, t.undoubled(err, r.err, conn)
}

// broke reports whether the request broke with its connection before the relay's
// kernel had any of it. (That nothing was acknowledged in time says less.)
func (t *tunnel) broke(conn *relayConn, err error) bool {
	return !errors.Is(err, os.ErrDeadlineExceeded) && t.unheard(conn)
}

// unheard reports whether the relay's kernel is known not to have acknowledged
// anything of the request.
func (t *tunnel) unheard(conn *relayConn) bool {
	n, ok := conn.acked()
	t.mu.Lock()
	defer t.mu.Unlock()
	return ok && t.baseOK && n <= t.base
}

// elsewhere returns a connection that does not need the doubtful links: a warm one
// that is over others alone, or a new one.
func (d *dialer) elsewhere(ctx context.Context, to proxy.Addr, flow proxy.Flow) (*relayConn, error) {
	doubts := &d.upstream.doubts
	if c := d.pool.takeWhere(func(c *relayConn) bool { return c.avoids(doubts) }); c != nil {
		return c, nil
	}
	return d.cold(ctx, to, flow)
}

// takeWhere is take for a connection that does, or nil.
func (p *pool) takeWhere(does func(*relayConn) bool) *relayConn {
	p.mu.Lock()
	i := slices.IndexFunc(p.idle, func(w *warmConn) bool { return does(w.relayConn) })
	if i < 0 {
		p.mu.Unlock()
		return nil
	}
	w := p.idle[i]
	p.idle = slices.Delete(p.idle, i, i+1)
	p.mu.Unlock()
	p.poke()
	if !w.release() {
		return p.takeWhere(does)
	}
	w.probeEvery(keepAlive)
	return w.relayConn
}

// avoids reports whether a connection has subflows, and all over links that are in
// no doubt.
func (c *relayConn) avoids(d *doubts) bool {
	all := c.subflows()
	return len(all) > 0 && !slices.ContainsFunc(all, func(s mptcp.Subflow) bool { return d.about(s.Local.Addr()) })
}
