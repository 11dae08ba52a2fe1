package gateway

import (
	"context"
	"fmt"
	"testing"
	"time"

	"tributary/mptcp"
	"tributary/proxy"
	"tributary/splice"
)

// One request that gets lost at once on a new connection says nothing of those that
// wait: they stay. One that had rested for long speaks against those that rest as long.
func TestSuspect(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	w := newSilentWorld(t)
	defer w.end()
	defer func() {
		for _, left := range w.pool.idle {
			splice.Abort(left)
		}
	}()
	time.Sleep(150 * time.Millisecond)
	older := w.pool.idle[0]
	newer, err := w.dialer.upstream.warm(w.ctx) // over another address
	must(t, err)
	kept := &warmConn{relayConn: newer, watched: make(chan error, 1)}
	w.pool.idle = append(w.pool.idle, kept)
	go w.pool.watch(kept)
	time.Sleep(150 * time.Millisecond) // the last acknowledgement comes late

	lost, err := w.dialer.upstream.warm(w.ctx)
	must(t, err)
	defer splice.Abort(lost)
	tu := &tunnel{dialer: w.dialer, wrote: time.Now()}
	if tu.suspect(lost); len(w.pool.idle) != 2 {
		t.Errorf("%d of 2 are left", len(w.pool.idle))
	}
	tu.wrote = time.Now().Add(restedTime + time.Second) // as if it had been that long
	w.pool.suspect(older.relayConn)
	if len(w.pool.idle) != 1 || w.pool.idle[0] != kept {
		t.Errorf("%d of 2 are left, want the one that was heard later", len(w.pool.idle))
	}
	tu.suspect(lost)
	if len(w.pool.idle) != 0 {
		t.Error("one is left that has rested for longer")
	}
}

// A request that nobody acknowledges has a rival at once where another link may carry
// it, or where its connection may be dead; else after a second.
func TestHedgeOnOneLink(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	w := newSilentWorld(t)
	defer w.end()
	conn := w.pool.idle[0].relayConn
	w.pool.idle = nil
	defer splice.Abort(conn)
	base, err := mptcp.Written(conn.socket)
	must(t, err)
	for _, c := range []struct {
		links  int
		rested time.Duration
		want   bool
	}{{2, 0, true}, {1, restedTime + time.Second, true}, {1, 0, false}} {
		w.dialer.upstream.sources = func(bool) (all []source) {
			for i := range c.links {
				all = append(all, source{link: fmt.Sprint(i)})
			}
			return all
		}
		tu := &tunnel{
			ctx: w.ctx, dialer: w.dialer, to: webServer, until: time.Now().Add(openTime), flow: proxy.Flow{1}, given: 1,
			order: make(chan struct{}, 1), base: base, baseOK: true, wrote: time.Now().Add(c.rested),
		}
		tu.conn.Store(conn)
		tu.hedge(conn)
		if got := tu.rivalOf() != nil; got != c.want {
			t.Errorf("%d links, rested for %v: a rival %v", c.links, c.rested, got)
		}
		tu.giveUpSilence(conn, false)
		r := tu.rivalOf()
		if r == nil {
			t.Fatal("no rival after a second")
		}
		<-r.done
		if won := r.conn.Load(); won != nil {
			splice.Abort(won)
		}
	}
}

// As long as nobody has heard a request, no more of the client's bytes are taken than can
// go elsewhere with it.
func TestUnheardRequestStaysMovable(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	w := newSilentWorld(t)
	defer w.end()
	conn := w.pool.idle[0].relayConn
	defer splice.Abort(conn)
	w.pool.idle = nil
	base, err := mptcp.Written(conn.socket)
	must(t, err)
	ctx, cancel := context.WithCancel(w.ctx)
	tu := &tunnel{ctx: ctx, cancel: cancel, dialer: w.dialer, order: make(chan struct{}, 1), base: base, baseOK: true}
	tu.conn.Store(conn)
	if n, err := tu.Write(make([]byte, retainMost)); n != retainMost || err != nil {
		t.Fatal(n, err)
	}
	wrote := make(chan error, 1)
	go func() {
		_, err := tu.Write(make([]byte, 1))
		wrote <- err
	}()
	select {
	case err := <-wrote:
		t.Error("more was taken than can be kept:", err)
	case <-time.After(300 * time.Millisecond):
	}
	if tu.overflow || len(tu.sent) != retainMost {
		t.Errorf("overflow %v, %d bytes kept", tu.overflow, len(tu.sent))
	}
	tu.mu.Lock()
	tu.base = 0 // as if the request had been acknowledged
	tu.mu.Unlock()
	if err := <-wrote; err != nil || !tu.overflow {
		t.Errorf("%v, overflow %v", err, tu.overflow)
	}
	tu.Close()
}
