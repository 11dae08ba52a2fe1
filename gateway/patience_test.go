package gateway

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"tributary/proxy"
	"tributary/proxy/proxytest"
	"tributary/splice"
)

func TestGivenUp(t *testing.T) {
	by := time.Now()
	for name, c := range map[string]struct{ heard, want time.Duration }{
		"never heard":       {-1000 * time.Hour, 0},
		"heard long ago":    {-openTime, 0},
		"heard since":       {-time.Second, openTime - time.Second},
		"heard just now":    {time.Second, openTime + time.Second},
		"heard without end": {time.Hour, patience},
	} {
		if got := givenUp(by, by.Add(c.heard), openTime, patience); got.Sub(by) != c.want {
			t.Errorf("%s: given up after %v more, want %v", name, got.Sub(by), c.want)
		}
	}
}

// A request waits for a relay that can be heard, and not for one that cannot.
func TestRequestWaitsWhileTheRelayIsHeard(t *testing.T) {
	const slow = 9 * time.Second // of each dial
	for name, c := range map[string]struct {
		heardFor time.Duration // since the request
		takes    time.Duration // dialling
		want     time.Duration
		works    bool
	}{
		"never heard":              {-time.Hour, slow, openTime, false},
		"heard until it asked":     {0, slow, openTime, false},
		"heard for a while":        {2 * time.Second, slow, 2*time.Second + openTime, false},
		"slow, but heard":          {time.Hour, slow, slow + 2*rtR + rtP + rtR, true},
		"heard, but leads nowhere": {time.Hour, time.Hour, openTime + patience, false},
		"heard just long enough":   {slow - openTime + time.Second, slow, slow + 2*rtR + rtP + rtR, true},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				began := time.Now()
				u := w.dialer.upstream
				u.heard = func() time.Time {
					if over := began.Add(c.heardFor); time.Now().After(over) {
						return over
					}
					return time.Now()
				}
				dial := u.dial
				u.dial = func(ctx context.Context, from netip.Addr, to netip.AddrPort) (net.Conn, error) {
					select {
					case <-time.After(c.takes):
						return dial(ctx, from, to)
					case <-ctx.Done():
						return nil, ctx.Err()
					}
				}
				w.servers.Handle(otherServer, answers)
				conn, err := w.dialer.DialStream(w.ctx, otherServer, nil)
				if took := time.Since(began); took != c.want || (err == nil) != c.works {
					t.Errorf("%v after %v, want %v", err, took, c.want)
				}
				if err == nil {
					conn.Close()
				} else if proxy.ReasonOf(err) != proxy.RelayUnreachable || errors.Is(err, context.Canceled) {
					t.Errorf("said %v", err)
				}
			})
		})
	}
}

// An answer that is late is waited for as well.
func TestAnswerIsWaitedForWhileTheRelayIsHeard(t *testing.T) {
	for name, want := range map[string]time.Duration{"heard": answerTime + answerPatience, "not heard": answerTime} {
		inBubble(t, func(t *testing.T, w *world) {
			w.fill(t)
			began := time.Now()
			w.dialer.upstream.heard = func() time.Time {
				if name == "heard" {
					return time.Now()
				}
				return began
			}
			w.mute = true
			_, err := w.dialer.DialStream(w.ctx, otherServer, []byte("x"))
			if took := time.Since(began); err == nil || took != want {
				t.Errorf("%s: %v after %v, want %v", name, err, took, want)
			}
		})
	}
}

// The pool's connections are as patient.
func TestPoolIsPatient(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		u := w.dialer.upstream
		u.heard, w.pool.patient = time.Now, u.patient
		dial := u.dial
		u.dial = func(ctx context.Context, from netip.Addr, to netip.AddrPort) (net.Conn, error) {
			select {
			case <-time.After(connectTime + time.Second):
				return dial(ctx, from, to)
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		w.run()
		time.Sleep(connectTime + 2*time.Second)
		w.wantWarm(t, 1) // the scout
	})
}

// A handshake may take so long on a full line that the relay ends it: there is time for
// another one.
func TestSlowHandshakeIsTriedAgain(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.servers.Handle(otherServer, answers)
		u, began := w.dialer.upstream, time.Now()
		u.heard = time.Now
		dial := u.dial
		u.dial = func(ctx context.Context, from netip.Addr, to netip.AddrPort) (net.Conn, error) {
			if time.Since(began) > 0 {
				return dial(ctx, from, to)
			}
			near, far := proxytest.Wire(rtR / 2)
			w.served.Go(func() {
				time.Sleep(10 * time.Second)
				splice.Abort(far)
			})
			return near, nil
		}
		c, err := w.dialer.DialStream(w.ctx, otherServer, nil)
		if took := time.Since(began); err != nil || took > 11*time.Second {
			t.Fatalf("%v after %v", err, took)
		}
		c.Close()
	})
}
