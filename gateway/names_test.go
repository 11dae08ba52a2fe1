package gateway

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"tributary/proxy"
	"tributary/splice"
)

// A request is asked again only where it is certain that no stream was opened by its
// name, or where the relay will see that.
func TestUndoubled(t *testing.T) {
	dup, other := &proxy.Error{Reason: proxy.Duplicate}, errors.New("reset")
	name := newFlow(7)
	for what, c := range map[string]struct {
		err, its    error
		tls         bool
		asked       int
		undelivered bool
		want        error
		keeps       bool // its name
	}{
		"another error":                     {other, dup, false, 1, false, other, true},
		"asked once":                        {dup, nil, false, 1, false, errOtherRun, false},
		"asked once, of a run just met":     {dup, nil, true, 1, false, errLost, true},
		"asked before, who knows":           {dup, nil, false, 2, false, errLost, true},
		"asked before, and lost on the way": {dup, nil, false, 2, true, errOtherRun, true},
		"both of a race":                    {dup, dup, false, 2, false, errOtherRun, false},
		"both of a race, and one before":    {dup, dup, false, 3, false, errLost, true},
		"a race, of which one is unknown":   {dup, other, false, 2, false, errLost, true},
	} {
		u := &upstream{}
		u.shadow.instance = 7
		tu := &tunnel{dialer: &dialer{upstream: u}, flow: name, asked: c.asked, undelivered: c.undelivered}
		conn := &relayConn{}
		if c.tls {
			conn.tls = &splice.TLSConn{}
		}
		if got := tu.undoubled(c.err, c.its, conn); got != c.want {
			t.Errorf("%s: %v, want %v", what, got, c.want)
		}
		if (tu.flow == name) != c.keeps {
			t.Errorf("%s: the name is kept: %v", what, tu.flow == name)
		}
		if (u.shadow.instance == 7) != (c.want != errOtherRun) {
			t.Errorf("%s: the relay's run is remembered: %v", what, u.shadow.instance == 7)
		}
	}
}

// By Shadowsocks a request is named if the relay's run is known, and goes by TLS if it
// has the name of another one.
func TestShadowNames(t *testing.T) {
	var s shadow
	if f, ok := s.name(proxy.Flow{}); f != (proxy.Flow{}) || !ok {
		t.Errorf("%x, %v: the run is not known", f, ok)
	}
	s.learn(time.Now(), 7)
	a, ok := s.name(proxy.Flow{})
	if b, _ := s.name(proxy.Flow{}); instanceOf(a) != 7 || !ok || a == b {
		t.Errorf("%x, %v, and then %x", a, ok, b)
	}
	if f, ok := s.name(a); f != a || !ok {
		t.Errorf("%x, %v, instead of %x", f, ok, a)
	}
	if _, ok := s.name(newFlow(6)); ok {
		t.Error("the relay would call it a duplicate")
	}
	s.forget(6)
	if s.instance != 7 {
		t.Error("forgotten by mistake")
	}
}

// Shadowsocks is avoided for longer each time, and forgiven when it works or when TLS is
// as slow.
func TestShadowAvoidance(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		s := w.withShadowsocks(0)
		w.servers.Handle(otherServer, answers)
		s.meet(t)
		s.how = "swallows"
		for i, wait := range []time.Duration{shadowAvoid, 2 * shadowAvoid, 4 * shadowAvoid, 8 * shadowAvoid, 16 * shadowAvoid, shadowAvoidMost} {
			s.ask(otherServer, "early", "")
			if s.dials != i+1 {
				t.Fatalf("%d by Shadowsocks, want %d", s.dials, i+1)
			}
			time.Sleep(wait - 5*time.Second)
			if s.ask(otherServer, "early", ""); s.dials != i+1 {
				t.Errorf("tried again before %v", wait)
			}
			time.Sleep(10 * time.Second)
		}
		s.how = ""
		if s.ask(otherServer, "early", ""); s.dials != 7 {
			t.Errorf("%d by Shadowsocks", s.dials)
		}
		s.how = "refuses"
		s.ask(otherServer, "early", "")
		time.Sleep(shadowAvoid)
		if s.ask(otherServer, "early", ""); s.dials != 9 {
			t.Errorf("%d by Shadowsocks: what was before it worked is not forgotten", s.dials)
		}
	})
	inBubble(t, func(t *testing.T, w *world) {
		s := w.withShadowsocks(0)
		w.servers.Handle(otherServer, answers)
		s.meet(t)
		s.how = "swallows"
		dial := w.dialer.upstream.dial
		w.dialer.upstream.dial = func(ctx context.Context, from netip.Addr, to netip.AddrPort) (net.Conn, error) {
			time.Sleep(time.Second)
			return dial(ctx, from, to)
		}
		if s.ask(otherServer, "early", ""); !w.dialer.upstream.shadow.usable() {
			t.Error("the line is slow, and Shadowsocks is held to be what is wrong")
		}
	})
}
