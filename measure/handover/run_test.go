package handover

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tributary/proxy"
	"tributary/speed"
)

// A stalling connection delivers nothing for a time.
type stalling struct {
	net.Conn
	from, to time.Time
}

func (s *stalling) Read(p []byte) (int, error) {
	n, err := s.Conn.Read(p)
	if now := time.Now(); now.After(s.from) && now.Before(s.to) {
		time.Sleep(time.Until(s.to))
	}
	return n, err
}

// A link goes silent and returns while a paced download runs: gateway, clock and
// line are made up, all else is as it is.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		at := func(s float64) time.Time { return began.Add(time.Duration(s * float64(time.Second))) }
		service := speed.New(proxy.DialerFunc(nil))
		var told []string
		r, err := Run{
			Way: func(ctx context.Context) (net.Conn, error) {
				c, err := service.DialStream(ctx, speed.Addr(), nil)
				return &stalling{c, at(10), at(10.3)}, err
			},
			Rate: 125_000, Time: 30 * time.Second,
			Status: func(context.Context) (Snapshot, error) {
				now := time.Now()
				s := Snapshot{At: now, Links: []LinkNow{{Name: "dsl", State: "up", Bytes: uint64(125e3 * now.Sub(began).Seconds())}, {Name: "lte", State: "up"}}}
				if now.After(at(10.25)) && now.Before(at(20)) {
					s.Links[0].State = "silent"
				}
				if now.After(at(10.25)) {
					s.Decisions = []Decision{{at(-5), "dsl", "health", "unknown", "alive", ""}, {at(10.2), "dsl", "health", "alive", "dead", "probes are missed"}}
				}
				return s, nil
			},
			Progress: func(e Event) { told = append(told, e.String()) },
		}.Do(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Losses) != 1 || r.Losses[0].GapMs < 290 || r.Losses[0].GapMs > 320 || r.Losses[0].AtMs < 10100 || r.Losses[0].AtMs > 10250 || r.Losses[0].BackMs < 19900 || r.Losses[0].BackMs > 20300 {
			t.Errorf("losses %+v", r.Losses)
		}
		if want := "dsl: up → silent|dsl: alive → dead: probes are missed|dsl: silent → up"; strings.Join(told, "|") != want {
			t.Errorf("told %v", told)
		}
		if len(r.Links) != 2 || len(r.Links[0].Points) < 100 || r.Links[0].Points[50].Mbit < 0.9 || r.Links[0].Points[50].Mbit > 1.1 {
			t.Errorf("%d links, %d points", len(r.Links), len(r.Links[0].Points))
		}
		var b strings.Builder
		if r.Print(&b); !strings.Contains(b.String(), "nothing arrives for 3") || !strings.Contains(b.String(), "10.2 s  dsl: alive → dead") {
			t.Errorf("%s", b.String())
		}
		if !strings.Contains(string(r.SVG()), "dsl was lost at 10.2 s and back at 20") {
			t.Error("the picture does not say what happened")
		}
	})
}

func TestCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := speed.New(proxy.DialerFunc(nil))
		cuts := 0
		r, err := Run{
			Way:  func(ctx context.Context) (net.Conn, error) { return service.DialStream(ctx, speed.Addr(), nil) },
			Rate: 125_000, Time: 9 * time.Second,
			Status: func(context.Context) (Snapshot, error) {
				return Snapshot{At: time.Now(), Links: []LinkNow{{Name: "dsl", State: "up"}}}, nil
			},
			Cut: func(context.Context) error { cuts++; return nil }, CutLink: "dsl", CutAt: 3 * time.Second, CutFor: 3 * time.Second,
		}.Do(t.Context())
		if err != nil || cuts != 1 || len(r.Losses) != 1 || r.Losses[0].How != "cut" || r.Losses[0].BackMs < 5900 || r.Losses[0].BackMs > 6100 {
			t.Errorf("%v, %d cuts, %+v", err, cuts, r)
		}
	})
}

// The end by the user is the end of the measurement, and no failure.
func TestEndedEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := speed.New(proxy.DialerFunc(nil))
		ctx, stop := context.WithTimeout(t.Context(), 5*time.Second)
		defer stop()
		run := Run{
			Way:  func(ctx context.Context) (net.Conn, error) { return service.DialStream(ctx, speed.Addr(), nil) },
			Rate: 125_000, Time: time.Minute,
			Status: func(context.Context) (Snapshot, error) { return Snapshot{At: time.Now()}, nil },
		}
		if r, err := run.Do(ctx); err != nil || r.Error != "" || r.Seconds < 4.9 || r.Seconds > 5.1 {
			t.Errorf("%+v, %v", r, err)
		}
		run.Way = func(context.Context) (net.Conn, error) { return nil, errors.New("refused") }
		if _, err := run.Do(t.Context()); err == nil {
			t.Error("nothing came, and no error")
		}
	})
}
