package gateway

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tributary/allowance"
	"tributary/bundle"
	"tributary/link"
)

// A meter is two interfaces, the second of which has a plan.
type meter struct {
	*accountant
	mu      sync.Mutex
	log     bytes.Buffer
	carried uint64 // by lte
	boot    string
	err     error
}

// Write takes a line of the log.
func (m *meter) Write(p []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.log.Write(p)
}

// set changes what the counters say from now on.
func (m *meter) set(boot string, carried uint64, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.boot, m.carried, m.err = boot, carried, err
}

func newMeter(t *testing.T, path string, plan allowance.Plan) *meter {
	t.Helper()
	book, err := allowance.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	m := &meter{boot: "1"}
	m.accountant = &accountant{
		plans: map[string]allowance.Plan{"lte": plan}, book: book, spare: map[string]allowance.Verdict{},
		log: slog.New(slog.NewTextHandler(m, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}})),
		links: func() []link.Link { return []link.Link{{Name: "dsl"}, {Name: "lte", Order: 1}} },
		counters: func() (map[string]link.Counter, error) {
			m.mu.Lock()
			defer m.mu.Unlock()
			return map[string]link.Counter{"dsl": {ID: m.boot}, "lte": {ID: m.boot, RxBytes: m.carried}}, m.err
		},
	}
	return m
}

// wantLog compares what was logged since the last time.
func (m *meter) wantLog(t *testing.T, lines ...string) {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	got := strings.Split(strings.TrimSpace(m.log.String()), "\n")
	m.log.Reset()
	if got[0] == "" {
		got = nil
	}
	if !slices.Equal(got, lines) {
		t.Errorf("logged\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(lines, "\n"))
	}
}

// What a link carries is counted across a reboot, and the link is spared more and more.
// The clock of the tests begins on 1 January 2000, so they set it to the end of a month.
func TestAllowance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2026, 11, 28, 0, 0, 0, 0, time.Local)))
		path := filepath.Join(t.TempDir(), usageFile)
		m := newMeter(t, path, allowance.Plan{Bytes: allowance.GB})
		start := func() (stop func()) {
			ctx, end := context.WithCancel(t.Context())
			ended := make(chan struct{})
			go func() { m.run(ctx); close(ended) }()
			return func() { end(); <-ended }
		}
		if s := m.status("lte", time.Now()); s != nil {
			t.Errorf("before the first look: %+v", s)
		}
		stop := start()
		time.Sleep(time.Minute + countEvery/2) // from now on between two looks
		m.set("1", allowance.GB*6/10, nil)
		time.Sleep(countEvery)
		if v := m.of("lte"); v.Thrift != allowance.Spare || m.of("dsl") != (allowance.Verdict{}) {
			t.Errorf("%+v and %+v", v, m.of("dsl"))
		}
		const six = "0.6 of 1 GB used on day 28 of 30, counted since 2026-11-28; at this pace 2.4 GB, used up on 2026-11-28"
		m.wantLog(t, `level=INFO msg=allowance link=lte thrift=spare reason=ahead why="`+six+`"`)
		time.Sleep(countEvery)
		m.wantLog(t)
		stop()

		m = newMeter(t, path, m.plans["lte"])
		m.set("2", allowance.GB*36/100, nil)
		stop = start()
		synctest.Wait()
		const nearly = "0.96 of 1 GB used on day 28 of 30, counted since 2026-11-28; at this pace 3.8 GB, used up on 2026-11-28"
		m.wantLog(t, `level=INFO msg=allowance link=lte thrift=backup reason=nearly why="`+nearly+`"`)
		s := m.status("lte", time.Now())
		if s.Bytes != allowance.GB*96/100 || s.Allowance != allowance.GB || s.Thrift != "backup" || s.Reason != "nearly" || s.Why != nearly ||
			s.Day != 28 || s.Days != 30 || s.UsedUp == "" || s.Cost != 0 {
			t.Errorf("%+v", s)
		}
		time.Sleep(3*24*time.Hour + countEvery/2)
		m.wantLog(t, `level=INFO msg=allowance link=lte thrift=none reason="" why=""`)
		if s := m.status("lte", time.Now()); s.Bytes != 0 || s.Day != 1 || s.Days != 31 {
			t.Errorf("%+v", s)
		}
		m.set("2", 0, errors.New("nobody to ask"))
		time.Sleep(time.Minute)
		m.wantLog(t, `level=WARN msg="what the links carry cannot be counted" err="nobody to ask"`)
		stop()
	})
}

// The bundle is told, and prefers what costs less.
func TestAllowanceInTheBundle(t *testing.T) {
	a := &accountant{spare: map[string]allowance.Verdict{
		"dear":  {Thrift: allowance.Spare, Why: "it is dear", Price: 2},
		"empty": {Thrift: allowance.Backup, Why: "it is empty"},
		"paid":  {Thrift: allowance.Spare, Why: "it costs", Price: 1},
	}}
	all := []bundle.Observation{{Link: "dear"}, {Link: "empty", Order: 2}, {Link: "flat", Order: 3}, {Link: "paid", Order: 1}}
	a.enter(all)
	want := []bundle.Observation{
		{Link: "dear", Order: 3, Thrift: bundle.Spare, Spared: "it is dear"}, {Link: "empty", Order: 0, Thrift: bundle.Last, Spared: "it is empty"},
		{Link: "flat", Order: 1}, {Link: "paid", Order: 2, Thrift: bundle.Spare, Spared: "it costs"},
	}
	if !slices.Equal(all, want) {
		t.Errorf("got  %+v\nwant %+v", all, want)
	}
}

// What a link costs may be read again: it counts at once, for what was carried before too.
func TestPlansReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMeter(t, "", allowance.Plan{Bytes: 100 * allowance.GB})
		time.Sleep(time.Until(time.Date(2026, 11, 12, 12, 0, 0, 0, time.UTC)))
		m.count(time.Now())
		m.set("1", 10*allowance.GB, nil)
		m.count(time.Now())
		thrift := func(plan allowance.Plan) allowance.Thrift {
			g := Gateway{accounts: m.accountant}
			g.SetPlans(map[string]allowance.Plan{"lte": plan})
			if u := m.status("lte", time.Now()); u == nil || u.Allowance != plan.Bytes {
				t.Errorf("status %+v, want an allowance of %d", u, plan.Bytes)
			}
			return m.of("lte").Thrift
		}
		if got := thrift(allowance.Plan{Bytes: 10 * allowance.GB}); got != allowance.Backup {
			t.Errorf("with less allowance: %s", got)
		}
		if got := thrift(allowance.Plan{}); got != allowance.None || !m.planned() {
			t.Errorf("with none: %s", got)
		}
		(&Gateway{}).SetPlans(nil)
	})
}
