package throughput

import (
	"context"
	"errors"
	"math"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"tributary/measure/transfer"
	"tributary/proxy"
	"tributary/speed"
)

// A line has a rate, in bytes a second, that all transfers over it share.
type line struct {
	rate  float64
	users atomic.Int64
}

// lineConn takes the time of its bytes.
type lineConn struct {
	net.Conn
	lines []*line
}

func (c *lineConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p[:min(len(p), 4096)])
	slowest := 0.0
	for _, l := range c.lines {
		slowest = max(slowest, float64(n)*float64(l.users.Load())/l.rate)
	}
	time.Sleep(time.Duration(slowest * float64(time.Second)))
	return n, err
}

func (c *lineConn) Close() error {
	for _, l := range c.lines {
		l.users.Add(-1)
	}
	return c.Conn.Close()
}

// way is one to a service in memory behind lines.
func way(lines ...*line) transfer.Way {
	s := speed.New(proxy.DialerFunc(nil))
	return func(ctx context.Context) (net.Conn, error) {
		c, err := s.DialStream(ctx, speed.Addr(), nil)
		for _, l := range lines {
			l.users.Add(1)
		}
		return &lineConn{Conn: c, lines: lines}, err
	}
}

// Two links that share a line are told from two that do not, which neither of them
// alone shows.
func TestSharedLine(t *testing.T) {
	for _, shared := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			a, b := &line{rate: 1e6}, &line{rate: 1e6}
			if shared {
				b = a
			}
			var did []string
			r, err := Run{
				Links: []Link{{Name: "a", Mode: "on", Way: way(a)}, {Name: "b", Mode: "on", Way: way(b)}, {Name: "c", Mode: "on", LeftOut: "it is down"}},
				Down:  true, Time: 8 * time.Second, Progress: func(s string) { did = append(did, s) },
			}.Do(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			d := r.Directions[0]
			want := map[bool]float64{false: 16, true: 8}[shared]
			if d.Links[0].AloneMbit < 7.8 || d.Links[0].AloneMbit > 8.2 || d.TogetherMbit < 0.97*want || d.TogetherMbit > 1.03*want {
				t.Errorf("shared %v: alone %.1f, together %.1f", shared, d.Links[0].AloneMbit, d.TogetherMbit)
			}
			if said := strings.Contains(strings.Join(r.Verdict, " "), "adds nothing"); said != shared {
				t.Errorf("shared %v: %v", shared, r.Verdict)
			}
			if strings.Join(did, ", ") != "down: a alone, down: b alone, down: all 2 links at the same time" || r.Notes[0] != "c is left out: it is down" {
				t.Errorf("%v, %v", did, r.Notes)
			}
		})
	}
}

// The gateway's counts say what each link carried of the bundle, and what others
// had of the links meanwhile.
func TestCountsOfTheGateway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, all := &line{rate: 1e6}, &line{rate: 2e6}
		asked := 0
		counts := []map[string]Now{{"a": {Down: 0}, "b": {}}, {"a": {Down: 2e6}, "b": {}}, {"a": {Down: 2e6}, "b": {}}, {"a": {Down: 14e6}, "b": {Down: 4e6, Role: "full"}}}
		r, err := Run{
			Links: []Link{{Name: "a", Mode: "on", Way: way(a)}, {Name: "b", Mode: "on", LeftOut: "no"}}, Bundle: way(all),
			Down: true, Time: 8 * time.Second, Status: func(context.Context) (map[string]Now, error) {
				asked++
				return counts[asked-1], nil
			},
		}.Do(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		d := r.Directions[0]
		if d.BundleMbit < 15.5 || d.BundleMbit > 16.5 || math.Abs(d.Links[0].InBundleMbit/d.BundleMbit-0.75) > 1e-9 || d.Links[1].Role != "full" || d.OthersMbit < 1.5 {
			t.Errorf("%+v", d)
		}
	})
}

func TestNothing(t *testing.T) {
	broken := func(context.Context) (net.Conn, error) { return nil, errors.New("no route") }
	_, err := Run{Links: []Link{{Name: "a", Way: broken}}, Bundle: broken, Up: true, Time: time.Second}.Do(t.Context())
	if err == nil || !strings.Contains(err.Error(), "a: no route: the bundle: no route") {
		t.Error(err)
	}
}
