// Package handover watches a transfer through a gateway while a link is lost, by
// whoever pulls the cable, and says what that did to it: the longest time without a
// byte, which link it was by the gateway's own account, and when the full rate was
// back.
package handover

import (
	"context"
	"errors"
	"sync"
	"time"

	"tributary/measure/transfer"
)

// lookEvery is how often the gateway is asked for its status: a few kilobytes on the
// same host.
const lookEvery = 200 * time.Millisecond

// A Run is what to do and whom to ask meanwhile.
type Run struct {
	Way  transfer.Way // through the gateway
	Up   bool
	Rate int64         // in bytes a second, for an interactive flow; 0 is as fast as it goes
	Time time.Duration // of the transfer
	// Status asks the gateway.
	Status func(context.Context) (Snapshot, error)
	// Cut, if set, takes the link named CutLink away at CutAt for CutFor. The kernel or
	// the caller gives it back.
	Cut           func(ctx context.Context) error
	CutLink       string
	CutAt, CutFor time.Duration
	// Progress is told what happens; nil does without. It is called by one goroutine at
	// a time.
	Progress func(Event)
}

// A Snapshot is the gateway's status of one moment.
type Snapshot struct {
	At        time.Time
	Links     []LinkNow
	Decisions []Decision // oldest first
}

// A LinkNow is one link in it.
type LinkNow struct {
	Name, State, Note string
	Bytes             uint64 // carried in the direction of the transfer
}

// A Decision is one that the gateway has made about a link.
type Decision struct {
	At            time.Time
	Link          string
	By            string // health or bundle
	From, To, Why string
}

// Do transfers and watches until the time is over, the transfer breaks or ctx ends;
// the last is no failure, but the end that the user wants. It fails if nothing came
// at all.
func (r Run) Do(ctx context.Context) (*Report, error) {
	first, err := r.Status(ctx)
	if err != nil {
		return nil, err
	}
	w := &watch{run: r, last: first, began: time.Now(), bytes: map[string]uint64{}}
	w.links(first)
	looking, stop := context.WithCancel(context.WithoutCancel(ctx))
	var helpers sync.WaitGroup
	helpers.Go(func() { w.look(looking) })
	if r.Cut != nil {
		helpers.Go(func() { w.cut(looking) })
	}
	got, err := transfer.Transfer{Up: r.Up, For: r.Time, Rate: r.Rate}.Run(ctx, r.Way)
	stop()
	helpers.Wait()
	if got.Bytes() == 0 {
		return nil, errors.Join(errors.New("nothing came"), err)
	}
	if ctx.Err() != nil {
		err = nil
	}
	report := w.report(got, err)
	report.judge()
	return report, nil
}

// A watch collects what the gateway says, on the clock of this process.
type watch struct {
	run   Run
	began time.Time

	mu     sync.Mutex
	last   Snapshot
	events []timed
	rates  []rated
	bytes  map[string]uint64
	names  []string
	at     time.Time // of the bytes
}

// timed and rated are events and rates by the time of day.
type timed struct {
	at time.Time
	Event
}

type rated struct {
	at   time.Time
	link string
	mbit float64
}

func (w *watch) look(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if s, err := w.run.Status(ctx); err == nil {
			w.see(s)
		}
	}
}

// see finds what is new in a status.
func (w *watch) see(s Snapshot) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range s.Links {
		for _, old := range w.last.Links {
			if old.Name == l.Name && old.State != l.State {
				w.tell(s.At, Event{Link: l.Name, By: "link", From: old.State, To: l.State, Why: l.Note})
			}
		}
	}
	for _, d := range s.Decisions {
		if d.At.After(w.began) && !w.knows(d) {
			w.tell(d.At, Event{Link: d.Link, By: d.By, From: d.From, To: d.To, Why: d.Why})
		}
	}
	w.last = s
	w.links(s)
}

func (w *watch) knows(d Decision) bool {
	for _, e := range w.events {
		if e.at.Equal(d.At) && e.Link == d.Link && e.By == d.By && e.To == d.To {
			return true
		}
	}
	return false
}

// links turns byte counts into rates.
func (w *watch) links(s Snapshot) {
	for _, l := range s.Links {
		before, known := w.bytes[l.Name]
		if !known {
			w.names = append(w.names, l.Name)
		} else if d := s.At.Sub(w.at); d > 0 {
			w.rates = append(w.rates, rated{s.At, l.Name, transfer.Mbit(int64(l.Bytes-min(before, l.Bytes)), d)})
		}
		w.bytes[l.Name] = l.Bytes
	}
	w.at = s.At
}

// cut takes the link away in its time.
func (w *watch) cut(ctx context.Context) {
	note := func(from, to, why string) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.tell(time.Now(), Event{Link: w.run.CutLink, By: byCut, From: from, To: to, Why: why})
	}
	for _, step := range []struct {
		after time.Duration
		do    func()
	}{
		{w.run.CutAt, func() {
			if err := w.run.Cut(ctx); err != nil {
				note("", "", "could not be cut off: "+err.Error())
				return
			}
			note("up", "cut", "by this test: nothing that the relay sends over it arrives")
		}},
		{w.run.CutFor, func() { note("cut", "up", "by this test") }},
	} {
		select {
		case <-ctx.Done():
			return
		case <-time.After(step.after):
			step.do()
		}
	}
}

// tell notes an event. The caller holds the lock.
func (w *watch) tell(at time.Time, e Event) {
	e.AtMs = ms(at.Sub(w.began))
	w.events = append(w.events, timed{at, e})
	if w.run.Progress != nil {
		w.run.Progress(e)
	}
}

func ms(d time.Duration) float64 { return float64(d.Round(100*time.Microsecond).Microseconds()) / 1000 }
