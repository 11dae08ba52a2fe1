package transfer

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"tributary/proxy"
	"tributary/speed"
)

// service is a way to a speed service in memory, which needs no time.
func service(t *testing.T) Way {
	s := speed.New(proxy.DialerFunc(func(context.Context, proxy.Addr, []byte) (proxy.Conn, error) {
		return nil, errors.New("nobody")
	}))
	return func(ctx context.Context) (net.Conn, error) { return s.DialStream(ctx, speed.Addr(), nil) }
}

// A slow connection stalls for a time, and paces uploads.
type slow struct {
	net.Conn
	began    time.Time
	from, to time.Duration
	pace     time.Duration // before each write
	n        atomic.Int32
}

func (s *slow) wait() {
	if d := time.Since(s.began); d >= s.from && d < s.to {
		time.Sleep(s.to - d)
	}
}

func (s *slow) Read(p []byte) (int, error) {
	n, err := s.Conn.Read(p)
	if s.pace == 0 {
		s.wait()
	}
	return n, err
}

func (s *slow) Write(p []byte) (int, error) {
	if s.n.Add(1) > 1 {
		time.Sleep(s.pace)
		s.wait()
	}
	return s.Conn.Write(p)
}

func slowed(w Way, from, to, pace time.Duration) Way {
	return func(ctx context.Context) (net.Conn, error) {
		c, err := w(ctx)
		return &slow{Conn: c, began: time.Now(), from: from, to: to, pace: pace}, err
	}
}

func near(t *testing.T, what string, got, want, slack float64) {
	t.Helper()
	if got < want-slack || got > want+slack {
		t.Errorf("%s is %v, want %v", what, got, want)
	}
}

func TestPacedDownload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var seen []Sample
		r, err := Transfer{For: 5 * time.Second, Rate: 125_000, Seen: func(s Sample) { seen = append(seen, s) }}.Run(t.Context(), service(t))
		if err != nil || time.Since(began) > 5100*time.Millisecond {
			t.Fatalf("%v after %v", err, time.Since(began))
		}
		near(t, "rate", r.Steady(time.Second), 1, 0.01)
		near(t, "bytes", float64(r.Bytes()), 625e3, 5e3)
		if len(r.Gaps) > 0 {
			t.Errorf("gaps %v", r.Gaps)
		}
		if len(seen) < 50 || !slices.Equal(seen, r.Samples) {
			t.Errorf("%d samples seen of %d", len(seen), len(r.Samples))
		}
	})
}

// What stalls in the middle and what stalls at the end are gaps.
func TestGaps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct{ from, to, at, long time.Duration }{
			{2 * time.Second, 3 * time.Second, 2 * time.Second, time.Second},
			{4 * time.Second, time.Minute, 4 * time.Second, time.Second},
		} {
			r, err := Transfer{For: 5 * time.Second, Rate: 125_000}.Run(t.Context(), slowed(service(t), c.from, min(c.to, 5*time.Second), 0))
			if err != nil {
				t.Fatal(err)
			}
			g := r.Longest()
			near(t, "gap at", g.At.Seconds(), c.at.Seconds(), 0.03)
			near(t, "gap", g.For.Seconds(), c.long.Seconds(), 0.03)
		}
	})
}

func TestSizedDownload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, err := Transfer{For: time.Minute, Bytes: 50_000, Rate: 10_000}.Run(t.Context(), service(t))
		if err != nil || r.Bytes() != 50_000 {
			t.Errorf("%d bytes, %v", r.Bytes(), err)
		}
		near(t, "end", r.Samples[len(r.Samples)-1].At.Seconds(), 5, 0.1)
	})
}

func TestUpload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// 64 kB each 100 ms, and a second of nothing.
		way := slowed(service(t), 2*time.Second, 3*time.Second, 90*time.Millisecond)
		r, err := Transfer{Up: true, For: 5 * time.Second}.Run(t.Context(), way)
		if err != nil {
			t.Fatal(err)
		}
		near(t, "bytes", float64(r.Bytes()), 4*65536/0.09, 2*65536)
		near(t, "gap", r.Longest().For.Seconds(), 1, 0.15)
		r, err = Transfer{Up: true, For: 5 * time.Second, Bytes: 200_000}.Run(t.Context(), slowed(service(t), 0, 0, 90*time.Millisecond))
		if err != nil || r.Bytes() != 200_000 {
			t.Errorf("%d bytes, %v", r.Bytes(), err)
		}
	})
}

// The rate is that of the time behind the ramp, or of the second half.
func TestSteady(t *testing.T) {
	r := Result{Samples: []Sample{{0, 100}, {time.Second, 1000}, {2 * time.Second, 126_000}, {3 * time.Second, 251_000}}}
	near(t, "behind the ramp", r.Steady(time.Second), 1, 1e-9)
	near(t, "the second half", r.Steady(10*time.Second), Mbit(250_000, 2*time.Second), 1e-9)
	near(t, "of nothing", Result{}.Steady(time.Second), 0, 0)
}

func TestEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, up := range []bool{false, true} {
			ctx, stop := context.WithCancelCause(t.Context())
			stopped := errors.New("stopped")
			time.AfterFunc(time.Second, func() { stop(stopped) })
			began := time.Now()
			tr := Transfer{Up: up, For: time.Minute, Rate: 125_000}
			r, err := tr.Run(ctx, slowed(service(t), 0, 0, 50*time.Millisecond*time.Duration(map[bool]int{true: 1}[up])))
			if !errors.Is(err, stopped) || time.Since(began) > 1100*time.Millisecond || r.Bytes() == 0 {
				t.Errorf("up %v: %v after %v, %d bytes", up, err, time.Since(began), r.Bytes())
			}
		}
	})
}

// A connection that was said to be open and is reset is asked for once more: then
// the gateway knows why it leads nowhere.
func TestAsksTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		way := func(ctx context.Context) (net.Conn, error) {
			if asked++; asked > 1 {
				return nil, ErrNoService
			}
			near, far := net.Pipe()
			go func() {
				far.Read(make([]byte, 1000))
				far.Close()
			}()
			return near, nil
		}
		if _, err := (Transfer{For: time.Second}).Run(t.Context(), way); !errors.Is(err, ErrNoService) {
			t.Error(err)
		}
	})
}

// A link that dies before the first byte does not hold up the others.
func TestNothingArrives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, up := range []bool{false, true} {
			way := func(ctx context.Context) (net.Conn, error) {
				near, far := net.Pipe()
				t.Cleanup(func() { far.Close() })
				go func() {
					far.Read(make([]byte, 1000))
					io.WriteString(far, "HTTP/1.1 200 OK\r\n\r\n")
				}()
				return near, nil
			}
			began := time.Now()
			ctx, stop := context.WithTimeout(t.Context(), time.Minute)
			_, err := Transfer{Up: up, For: time.Second}.Run(ctx, way)
			stop()
			if d := time.Since(began); err == nil || !strings.Contains(err.Error(), "nothing arrived") || d != openTime {
				t.Errorf("up %v: %v after %v", up, err, d)
			}
		}
	})
}
