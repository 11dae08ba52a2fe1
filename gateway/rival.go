package gateway

import (
	"context"
	"crypto/rand"
	"encoding/binary"
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

var (
	errRivalLate = errors.New("too late for a second request")

	// errLost is that one of the requests has reached the relay, and its answer will
	// not come.
	errLost = errors.New("the relay's answer was lost")
)

// flowOf names the stream for a request on conn. Relays that are not ours know no
// flows. What has carried nothing of the client's, or was not delivered before the
// relay started anew, may be opened again; anything else keeps its name, so that it
// is not.
func (t *tunnel) flowOf(conn *relayConn) proxy.Flow {
	t.mu.Lock()
	defer t.mu.Unlock()
	other := conn.instance != binary.BigEndian.Uint64(t.flow[:])
	switch {
	case t.given > 0 && t.flow != (proxy.Flow{}) && !(other && t.undelivered):
	case conn.instance == 0:
		t.flow = proxy.Flow{}
	default:
		binary.BigEndian.PutUint64(t.flow[:], conn.instance)
		rand.Read(t.flow[8:])
	}
	return t.flow
}

// sameFlow returns the flow that the next try must have, if any.
func (t *tunnel) sameFlow() (f proxy.Flow) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.given > 0 && !t.undelivered {
		f = t.flow
	}
	return f
}

func (t *tunnel) rivalOf() *rival {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.rival
}

// pass gives a rival what the client has sent at a place of the stream, unless its
// request had it already. Took is false where there is no rival yet: then its
// request will have it.
func (r *rival) pass(at int, p []byte) (n int, err error, took bool) {
	if r == nil {
		return 0, nil, false
	}
	r.order <- struct{}{}
	defer func() { <-r.order }()
	conn := r.conn.Load()
	switch {
	case conn == nil:
		return 0, nil, false
	case at < r.upTo:
		return len(p), nil, true
	}
	n, err = conn.Write(p)
	return n, err, true
}

// passEnd is pass for the client's end.
func (r *rival) passEnd() {
	if r == nil {
		return
	}
	r.order <- struct{}{}
	defer func() { <-r.order }()
	if conn := r.conn.Load(); conn != nil && !r.ended {
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
		return conn, undoubled(err)
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
	case duplicate(r.err) && !broke:
		err = errLost
	}
	return conn, undoubled(err)
}

// broke reports whether the request broke with its connection before the relay's
// kernel had any of it. (That nothing was acknowledged in time says less.)
func (t *tunnel) broke(conn *relayConn, err error) bool {
	return !errors.Is(err, os.ErrDeadlineExceeded) && t.unheard(conn)
}

// duplicate reports whether the relay has said that it was asked before.
func duplicate(err error) bool {
	var refusal *proxy.Error
	return errors.As(err, &refusal) && refusal.Reason == proxy.Duplicate
}

// undoubled turns that into what it means where nobody else is left to win.
func undoubled(err error) error {
	if duplicate(err) {
		return errLost
	}
	return err
}

// hedge begins a race when the relay's kernel has not acknowledged the request in
// time.
func (t *tunnel) hedge(conn *relayConn) {
	if !t.unheard(conn) {
		return
	}
	u := t.dialer.upstream
	for _, link := range conn.waiting() {
		u.doubts.cast(link, hedgeTime)
		if u.suspect != nil {
			u.suspect(link)
		}
	}
	t.race()
}

// blame makes the links doubtful on which a request got lost.
func (t *tunnel) blame(conn *relayConn) {
	if !t.unheard(conn) {
		return
	}
	for _, link := range conn.waiting() {
		t.dialer.upstream.doubts.avoid(link, doubtTime)
	}
	t.dialer.pool.suspect()
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
	if c.socket == nil {
		return false
	}
	full, err := mptcp.FullInfo(c.socket)
	if err != nil {
		return false
	}
	n := 0
	for _, s := range full.Subflows {
		if s.State == mptcp.Established {
			n++
			if d.about(s.Local.Addr()) {
				return false
			}
		}
	}
	return n > 0
}
