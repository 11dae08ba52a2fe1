package soak

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestPlan(t *testing.T) {
	links := []string{"dsl", "lte"}
	for _, length := range []time.Duration{30 * time.Second, 5 * time.Minute, 30 * time.Minute} {
		for seed := range uint64(20) {
			plan := Plan(seed, length, links)
			if !reflect.DeepEqual(plan, Plan(seed, length, links)) {
				t.Fatal("the same seed gives another plan")
			}
			kinds := map[Kind]int{}
			ends := map[string]time.Duration{}
			last := time.Duration(0)
			for _, f := range plan {
				kinds[f.Kind]++
				switch {
				case f.At < last || f.At < calm:
					t.Errorf("%+v at a wrong time", f)
				case f.Link != "" && (f.At < ends[f.Link] || f.At+f.For > length-quietEnd):
					t.Errorf("%+v, and the link's last one ends at %v of %v", f, ends[f.Link], length)
				}
				last, ends[f.Link] = f.At, f.At+f.For
			}
			if length >= 5*time.Minute && (kinds[AllOut] != 1 || kinds[Restart] != 1) {
				t.Errorf("%v: %v", length, kinds)
			}
			if length == 30*time.Minute && (len(plan) < 80 || len(kinds) != 8) {
				t.Errorf("%d faults of %v", len(plan), kinds)
			}
		}
	}
	if reflect.DeepEqual(Plan(1, time.Hour, links), Plan(2, time.Hour, links)) {
		t.Error("another seed gives the same plan")
	}
}

func TestBalance(t *testing.T) {
	began := time.Unix(1000, 0)
	at := func(s int) time.Time { return began.Add(time.Duration(s) * time.Second) }
	broke := errors.New("reset")
	b := NewBook(2, []Fault{{At: 9 * time.Second, For: time.Second, Link: "dsl", Kind: Slow}, {At: 90 * time.Second, Kind: Restart}})
	b.Out("dsl", true, at(10))
	b.Out("dsl", true, at(11)) // by two faults at once
	b.Out("lte", true, at(20))
	b.Out("dsl", false, at(40))
	b.Out("lte", false, at(50))
	b.Restarted(at(100), at(103))
	b.Out("dsl", true, at(200))
	b.Out("lte", true, at(200))
	b.Out("dsl", false, at(600))
	for _, s := range []struct {
		from, to int
		opened   bool
		err      error
		excused  bool
	}{
		{0, 10, true, nil, false},
		{0, 15, true, broke, false},  // one link was out
		{0, 30, true, broke, false},  // both, but not for long
		{25, 30, false, broke, true}, // asked for while there was none
		{44, 50, false, broke, true},
		{46, 50, false, broke, false}, // one was back for long
		{90, 101, true, broke, true},  // the relay
		{90, 99, true, broke, false},
		{190, 610, true, broke, true}, // for too long
	} {
		before := b.Balance(began)
		b.Ended(Session{Kind: "echo", Began: at(s.from), Ended: at(s.to), Bytes: 10, Opened: s.opened, Err: s.err})
		got := b.Balance(began)
		if (got.Excused > before.Excused) != s.excused || (got.Lost+got.Refused > before.Lost+before.Refused) != (s.err != nil && !s.excused) {
			t.Errorf("%+v: %v", s, got)
		}
	}
	if all := b.Balance(began); all.Bytes != 90 || all.Done != 1 || all.Lost != 3 || all.Refused != 1 || all.Why[0] != "echo from 0.0 to 15.0 s: reset (dsl slow at 9.0 s for 1.0 s)" {
		t.Errorf("%+v", all)
	}
	b.Ended(Session{Kind: "upload", Began: at(90), Ended: at(101), Err: fmt.Errorf("upload: %w", ErrWrong)})
	if all := b.Balance(began); all.Wrong != 1 || all.Excused != 4 {
		t.Errorf("wrong bytes while the relay goes away: %+v", all)
	}
	if n, longest := b.Outages(); n != 2 || longest != 400*time.Second {
		t.Errorf("%d outages, %v", n, longest)
	}
}

func TestDump(t *testing.T) {
	const text = `time=… level=INFO msg=ready
SIGQUIT: quit
PC=0x1 m=0 sigcode=0

goroutine 0 gp=0x1 m=0 mp=0x2 [idle]:
runtime.futex()

goroutine 1 [chan receive, 2 minutes]:
main.main()
	/src/main.go:1 +0x1

goroutine 7 [IO wait]:
net.(*conn).Read()
created by tributary/gateway.(*pool).keep in goroutine 3
	/src/warm.go:1 +0x1

goroutine 8 [IO wait]:
created by tributary/gateway.(*pool).keep in goroutine 3

rax    0x0
`
	d := ReadDump(text)
	if d.Total() != 4 || d["tributary/gateway.(*pool).keep"] != 2 || d["main"] != 2 {
		t.Errorf("%v", d)
	}
	if more := d.More(Dump{"main": 2}); more != "2 of tributary/gateway.(*pool).keep" {
		t.Error(more)
	}
	if n := ReadDump(strings.Repeat("nothing\n", 3)).Total(); n != 0 {
		t.Errorf("%d of nothing", n)
	}
}
