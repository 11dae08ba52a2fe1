package gateway

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
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
}

var errRivalLate = errors.New("too late for a second request")

// flowOf names the stream for a request on conn. Relays that are not ours know no
// flows.
func (t *tunnel) flowOf(conn *relayConn) (f proxy.Flow) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.flow = f
	if conn.instance == 0 {
		return f
	}
	if t.nonce == 0 || len(t.sent) == 0 && !t.overflow {
		// What has carried nothing of the client's may be opened again.
		var b [8]byte
		rand.Read(b[:])
		t.nonce = binary.BigEndian.Uint64(b[:])
	}
	binary.BigEndian.PutUint64(f[:], conn.instance)
	binary.BigEndian.PutUint64(f[8:], t.nonce)
	t.flow = f
	return f
}

// race begins one, if there is none and one can be had.
func (t *tunnel) race() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.rival != nil || t.settled || t.overflow || t.flow == (proxy.Flow{}) {
		return
	}
	r := &rival{done: make(chan struct{})}
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
	soon, cancel := context.WithDeadline(ctx, t.until)
	conn, err := t.dialer.elsewhere(soon, t.to, flow)
	cancel()
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { splice.Abort(conn) })
	defer stop()
	base, known := conn.acked()
	dead := time.AfterFunc(time.Until(t.until), func() {
		if n, ok := conn.acked(); known && ok && n == base {
			r.cancel()
		}
	})
	defer dead.Stop()
	if err = t.second(ctx, conn, r, flow); err == nil {
		err = t.read(conn)
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
	case t.order <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-t.order }()
	t.mu.Lock()
	sent, ended, late := t.sent, t.ended, t.overflow || t.settled
	t.mu.Unlock()
	if late {
		return errRivalLate
	}
	msg, err := t.message(conn, flow, sent)
	if err != nil {
		return err
	}
	r.conn.Store(conn)
	return t.send(conn, msg, ended)
}

// judge weighs what the tunnel's own connection has said, or failed with, against
// the rival, if there is one. It returns what is to be done as if it had come from
// one connection.
func (t *tunnel) judge(conn *relayConn, err error) (*relayConn, error) {
	t.mu.Lock()
	r := t.rival
	t.mu.Unlock()
	if r == nil || err == nil || refusedFor(err) {
		return conn, err
	}
	<-r.done
	var own, its *proxy.Error
	switch {
	case r.err == nil:
		t.dialer.upstream.won.Add(1)
		t.blame(conn)
		t.conn.Store(r.conn.Load())
		splice.Abort(conn)
		return r.conn.Load(), nil
	case refusedFor(r.err):
		return conn, r.err
	case errors.As(r.err, &its) && its.Reason == proxy.Duplicate, errors.As(err, &own) && own.Reason == proxy.Duplicate:
		// One of them has reached the relay, and was lost then.
		return conn, &proxy.Error{Reason: proxy.RelayUnreachable, Err: fmt.Errorf("the relay's answer was lost: %w", err)}
	}
	return conn, err
}

// hedge begins a race when the relay's kernel has not acknowledged the request in
// time.
func (t *tunnel) hedge(conn *relayConn) {
	if !t.unheard(conn) {
		return
	}
	for _, link := range conn.waiting() {
		t.dialer.upstream.doubts.cast(link, hedgeTime)
	}
	t.race()
}

// blame makes the links doubtful on which a request got lost.
func (t *tunnel) blame(conn *relayConn) {
	if !t.unheard(conn) {
		return
	}
	for _, link := range conn.waiting() {
		t.dialer.upstream.doubts.cast(link, doubtTime)
	}
	t.dialer.pool.suspect()
}

// unheard reports whether the relay's kernel is known not to have acknowledged
// anything of the request.
func (t *tunnel) unheard(conn *relayConn) bool {
	n, ok := conn.acked()
	t.mu.Lock()
	defer t.mu.Unlock()
	return ok && t.baseOK && n == t.base
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
		return nil
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
