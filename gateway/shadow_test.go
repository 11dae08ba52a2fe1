package gateway

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"tributary/proto/shadowsocks"
	"tributary/proxy"
	"tributary/proxy/proxytest"
	"tributary/splice"
)

const shadowPort = 8388

// A shadowRelay is the fake relay's other port.
type shadowRelay struct {
	*world
	server shadowsocks.Server
	skew   time.Duration // of the relay's clock
	dials  int
	near   *proxytest.End // of the last connection
	how    string         // what the port does: "", refuses, swallows, resets, mute
}

func (w *world) withShadowsocks(skew time.Duration) *shadowRelay {
	w.link.Shadowsocks = shadowPort
	key := shadowsocks.Key(w.link.Secret)
	s := &shadowRelay{world: w, skew: skew}
	s.server = shadowsocks.Server{
		Identity: shadowsocks.IdentityKey(w.link.Pin), Replay: shadowsocks.NewReplay(0),
		User: func(hash [16]byte) (string, shadowsocks.Key, bool) {
			return "default", key, hash == shadowsocks.UserHash(key)
		},
	}
	u, byTLS := w.dialer.upstream, w.dialer.upstream.dial
	u.to, u.shadow.port = w.link, shadowPort
	u.dial = func(ctx context.Context, from netip.Addr, to netip.AddrPort) (net.Conn, error) {
		if to.Port() != shadowPort {
			return byTLS(ctx, from, to)
		}
		return s.dial(ctx)
	}
	private := w.tls.Certificates[0].PrivateKey.(*ecdsa.PrivateKey)
	w.tls.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: s.now()}
		der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &private.PublicKey, private)
		return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}, err
	}
	w.tls.Certificates = nil
	return s
}

func (s *shadowRelay) now() time.Time { return time.Now().Add(s.skew) }

func (s *shadowRelay) dial(ctx context.Context) (net.Conn, error) {
	s.dials++
	if s.how == "swallows" {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	time.Sleep(rtR)
	if s.how == "refuses" {
		return nil, syscall.ECONNREFUSED
	}
	near, far := proxytest.Wire(rtR / 2)
	s.near = near
	s.served.Go(func() {
		defer far.Close()
		first := make([]byte, 2048)
		n, err := far.Read(first)
		if err != nil {
			return
		}
		st, err := s.server.Accept(first[:n], far, s.now)
		switch {
		case err != nil || !st.Own || s.how == "resets":
			splice.Abort(far)
			return
		case s.how == "mute":
			io.Copy(io.Discard, far)
			return
		}
		done := make(chan struct{})
		sessions := proxy.Sessions{Dialer: s.servers, Log: slog.New(slog.DiscardHandler)}
		req := &proxy.Request{To: st.To, Early: st.Early, Pending: &shadowPending{splice.Sealed(far, st.Rest, st)}}
		sessions.Serve(context.Background(), req, func() { close(done) })
		<-done
	})
	return near, nil
}

type shadowPending struct{ c *splice.SealedConn }

func (p *shadowPending) Accept(netip.AddrPort) (proxy.Conn, error) {
	_, err := p.c.Write(shadowsocks.AppendOutcome(nil, nil))
	return p.c, err
}

func (p *shadowPending) Refuse(r proxy.Reason) error {
	p.c.Write(shadowsocks.AppendOutcome(nil, &r))
	p.c.CloseWrite()
	io.Copy(io.Discard, p.c.NetConn())
	return p.c.Close()
}

// meet lets the gateway learn the relay's clock, without a pool.
func (s *shadowRelay) meet(t *testing.T) {
	t.Helper()
	c, err := s.dialer.upstream.connect(s.ctx, false)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

// ask opens a stream and returns what became of it, and how long until then.
func (s *shadowRelay) ask(to proxy.Addr, early, late string) (string, time.Duration) {
	began := time.Now()
	c, err := s.dialer.DialStream(s.ctx, to, []byte(early))
	if err != nil {
		return proxy.ReasonOf(err).String(), time.Since(began)
	}
	defer c.Close()
	took := time.Since(began)
	io.WriteString(c, late)
	c.CloseWrite()
	got, err := read(c)
	if err != nil {
		return proxy.ReasonOf(err).String(), took
	}
	return got, took
}

func TestColdByShadowsocks(t *testing.T) {
	for _, skew := range []time.Duration{0, time.Hour, -30 * 365 * 24 * time.Hour} {
		for _, early := range []string{"", "early"} {
			inBubble(t, func(t *testing.T, w *world) {
				s := w.withShadowsocks(skew)
				w.servers.Handle(webServer, answers)
				w.servers.Handle(otherServer, answers)
				s.meet(t)
				time.Sleep(10 * time.Minute)
				for to, want := range map[proxy.Addr]time.Duration{webServer: rtR, otherServer: 2*rtR + rtP} {
					got, took := s.ask(to, early, "late")
					if want2 := fmt.Sprintf("got %d bytes %q, <nil>", len(early+"late"), early+"late"); got != want2 || took != want {
						t.Errorf("%v off: %q after %v, want %q after %v", skew, got, took, want2, want)
					}
				}
				c, err := s.dialer.DialStream(s.ctx, webServer, []byte(early))
				if err != nil || s.near.Count().Writes != 1 {
					t.Errorf("the opening took %d writes, %v", s.near.Count().Writes, err)
				}
				c.Close()
				if s.dials != 3 {
					t.Errorf("%d connections by Shadowsocks", s.dials)
				}
			})
		}
	}
}

func TestColdRefusalIsTrue(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		s := w.withShadowsocks(0)
		w.servers.Refuse(otherServer, proxy.HostUnreachable)
		s.meet(t)
		if got, took := s.ask(otherServer, "early", ""); got != proxy.HostUnreachable.String() || took != 2*rtR+rtP {
			t.Errorf("%s after %v", got, took)
		}
		if s.dials != 1 || !s.dialer.upstream.shadow.usable() {
			t.Error("a refusal by the final server is held against the relay")
		}
	})
}

// Before the relay's clock is known nothing is risked.
func TestColdBeforeTheClockIsKnown(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		s := w.withShadowsocks(time.Hour)
		w.servers.Handle(otherServer, answers)
		for i, want := range []time.Duration{3*rtR + rtP, rtR} { // by TLS, then not: and it need not wait any more
			if got, took := s.ask(otherServer, "early", ""); got != `got 5 bytes "early", <nil>` || took != want || s.dials != i {
				t.Errorf("%q after %v, %d by Shadowsocks", got, took, s.dials)
			}
		}
	})
}

// A port that cannot be used is left alone for a while, and no client notices more
// than a delay, once.
func TestColdFallsBackToTLS(t *testing.T) {
	for how, delay := range map[string]time.Duration{"refuses": rtR, "swallows": 2 * nextLinkAfter} {
		t.Run(how, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				s := w.withShadowsocks(0)
				s.how = how
				w.servers.Handle(otherServer, answers)
				s.meet(t)
				for i, want := range []time.Duration{delay + 3*rtR + rtP, 2 * rtR} {
					if got, took := s.ask(otherServer, "early", ""); got != `got 5 bytes "early", <nil>` || took != want || s.dials != 1 {
						t.Errorf("%d: %q after %v, %d by Shadowsocks", i, got, took, s.dials)
					}
				}
				time.Sleep(shadowAvoid)
				s.how = ""
				if got, took := s.ask(otherServer, "early", ""); got != `got 5 bytes "early", <nil>` || took != rtR || s.dials != 2 {
					t.Errorf("later: %q after %v, %d by Shadowsocks", got, took, s.dials)
				}
			})
		})
	}
}

// A request without client bytes moves to TLS. One with them does not: they may
// have been delivered.
func TestColdConnectionDies(t *testing.T) {
	for _, early := range []string{"", "early"} {
		inBubble(t, func(t *testing.T, w *world) {
			s := w.withShadowsocks(0)
			s.how = "resets"
			w.servers.Handle(otherServer, answers)
			s.meet(t)
			want := proxy.RelayUnreachable.String()
			if early == "" {
				want = `got 0 bytes "", <nil>`
			}
			if got, _ := s.ask(otherServer, early, ""); got != want || s.dials != 1 {
				t.Errorf("%q with %q, %d by Shadowsocks", got, early, s.dials)
			}
			if got, _ := s.ask(otherServer, "next", ""); got != `got 4 bytes "next", <nil>` || s.dials != 1 {
				t.Errorf("the next: %q, %d by Shadowsocks", got, s.dials)
			}
		})
	}
}

func TestColdWhileTheRelayIsDown(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		s := w.withShadowsocks(0)
		s.meet(t)
		s.how = "refuses"
		w.set(refusing)
		if got, _ := s.ask(otherServer, "early", ""); got != proxy.RelayUnreachable.String() {
			t.Error(got)
		}
		if !s.dialer.upstream.shadow.usable() {
			t.Error("Shadowsocks is held to be what is wrong")
		}
	})
}

// A host that slept, or whose clock was set, does not know the relay's clock until
// it has met the relay again.
func TestClockIsForgotten(t *testing.T) {
	for _, off := range []time.Duration{time.Minute, -time.Minute} {
		inBubble(t, func(t *testing.T, w *world) {
			s := w.withShadowsocks(0)
			s.meet(t)
			sh := &s.dialer.upstream.shadow
			sh.wall = sh.wall.Add(off)
			if sh.usable() {
				t.Errorf("%v off, and relied on", off)
			}
			if s.meet(t); !sh.usable() {
				t.Errorf("%v off, and not learnt anew", off)
			}
		})
	}
}

// A new clock may be what helps.
func TestNewClockEndsAvoidance(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		s := w.withShadowsocks(0)
		s.meet(t)
		s.dialer.upstream.shadow.failed()
		time.Sleep(time.Second)
		if s.meet(t); s.dialer.upstream.shadow.usable() {
			t.Error("used again although nothing has changed")
		}
		s.skew = time.Minute
		if s.meet(t); !s.dialer.upstream.shadow.usable() {
			t.Error("not used although the clock was wrong")
		}
		if off := s.dialer.upstream.shadow.now().Sub(s.now()); off > 2*time.Second || off < -2*time.Second {
			t.Errorf("the relay's clock is off by %v", off)
		}
	})
}
