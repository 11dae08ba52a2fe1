package gateway

import (
	"context"
	"io"
	"sync"
	"testing"
	"time"

	"tributary/proto/socks"
	"tributary/proxy"
	"tributary/proxy/proxytest"
)

// A tunnel that was closed must not come alive by its rival.
func TestClosedTunnelClosesTheRivalThatHasWon(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		own, _ := proxytest.Wire(rtR / 2)
		its, far := proxytest.Wire(rtR / 2)
		ctx, cancel := context.WithCancel(t.Context())
		r := &rival{cancel: func() {}, done: make(chan struct{}), order: make(chan struct{}, 1)}
		r.conn.Store(&relayConn{stream: its})
		close(r.done) // it has won, and nobody stops it any more
		tu := &tunnel{
			ctx: ctx, cancel: cancel, dialer: w.dialer, until: time.Now().Add(openTime),
			order: make(chan struct{}, 1), rival: r,
		}
		tu.conn.Store(&relayConn{stream: own})
		tu.Close() // the client is gone
		_, err := tu.Settle()
		if err == nil {
			t.Error("a closed tunnel was settled")
		}
		time.Sleep(time.Second)
		far.SetReadDeadline(time.Now().Add(time.Second))
		if _, err := far.Read(make([]byte, 1)); proxy.ReasonOf(err) == proxy.TimedOut {
			t.Error("the rival's connection stays open, and nobody will close it")
		}
		its.Close()
	})
}

// Between a rival's victory and the end of the race the client's bytes are for two
// connections, which are one.
func TestRivalThatHasWonGetsBytesOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		its, far := proxytest.Wire(rtR / 2)
		won := &relayConn{stream: its}
		r := &rival{cancel: func() {}, done: make(chan struct{}), order: make(chan struct{}, 1)}
		r.conn.Store(won)
		tu := &tunnel{
			ctx: t.Context(), cancel: func() {}, dialer: w.dialer, until: time.Now().Add(openTime),
			order: make(chan struct{}, 1), rival: r,
		}
		tu.conn.Store(won)
		tu.Write([]byte("once"))
		tu.CloseWrite()
		far.SetReadDeadline(time.Now().Add(time.Second))
		if got, err := io.ReadAll(far); string(got) != "once" || err != nil {
			t.Errorf("the relay got %q, %v", got, err)
		}
		its.Close()
	})
}

// A race may be over while the rival's stream begins.
func TestRivalCancelledWhileItBegins(t *testing.T) {
	for range 20 {
		inBubble(t, func(t *testing.T, w *world) {
			w.fakeRelay.tls.NextProtos = []string{socks.ALPN}
			to, _ := proxy.ParseAddr("server.test:443")
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			tu := &tunnel{
				ctx: ctx, cancel: cancel, dialer: w.dialer, to: to, until: time.Now().Add(openTime),
				order: make(chan struct{}, 1),
			}
			r := &rival{cancel: cancel, done: make(chan struct{}), order: make(chan struct{}, 1)}
			r.order <- struct{}{}
			var all sync.WaitGroup
			all.Go(func() { tu.compete(ctx, r, proxy.Flow{1}) })
			time.Sleep(time.Second) // it has its connection, and waits to write
			all.Go(cancel)
			<-r.order
			all.Wait()
		})
	}
}
