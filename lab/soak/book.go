package soak

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Chosen by us.
const (
	// Bearable is how long all links may be out with every session going on.
	Bearable = 5 * time.Minute

	// settle is how long after such a time a request may still be refused: until the
	// first link has been found to be back.
	settle = 5 * time.Second
)

// A Session is one that has ended.
type Session struct {
	Kind         string
	Began, Ended time.Time
	Bytes        int64 // that were checked, both ways
	Opened       bool  // it was accepted
	Err          error
}

// ErrWrong is the error of a session that got or gave other bytes than were sent, or
// fewer with a clean end. Nothing excuses it.
var ErrWrong = errors.New("WRONG BYTES")

// A Book is what happened in a run. It may be used by many goroutines.
type Book struct {
	mu       sync.Mutex
	links    int
	plan     []Fault
	out      map[string]bool // links
	allOut   []span
	restarts []span
	bytes    int64
	done     map[string]int
	failed   []Session
}

// A span is a time; to is zero while it lasts.
type span struct{ from, to time.Time }

// NewBook returns an empty one for so many links, and a plan to blame.
func NewBook(links int, plan []Fault) *Book {
	return &Book{links: links, plan: plan, out: make(map[string]bool), done: make(map[string]int)}
}

// Out notes that a link is out now, or is not any more.
func (b *Book) Out(link string, out bool, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	before := len(b.out) == b.links
	if out {
		b.out[link] = true
	} else {
		delete(b.out, link)
	}
	switch after := len(b.out) == b.links; {
	case after && !before:
		b.allOut = append(b.allOut, span{from: now})
	case before && !after:
		b.allOut[len(b.allOut)-1].to = now
	}
}

// Restarted notes when the relay was away.
func (b *Book) Restarted(from, to time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.restarts = append(b.restarts, span{from, to})
}

// Ended notes the end of a session.
func (b *Book) Ended(s Session) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.bytes += s.Bytes
	if s.Err == nil {
		b.done[s.Kind]++
	} else {
		b.failed = append(b.failed, s)
	}
}

// A Balance is what became of all sessions.
type Balance struct {
	Bytes   int64    // that were checked
	Done    int      // ended as they should
	Excused int      // failed where they may: with the relay, or without any link
	Refused int      // never opened although a link lived: the client was told soon
	Wrong   int      // had wrong bytes
	Lost    int      // all other failures
	Why     []string // the first of those that are not excused, in words
}

// String says it in a line, for progress.
func (b Balance) String() string {
	return fmt.Sprintf("%d sessions done, %d excused, %d refused, %d lost, %d with wrong bytes, %.1f MB", b.Done, b.Excused, b.Refused, b.Lost, b.Wrong, float64(b.Bytes)/1e6)
}

// mostWhy is how many lost sessions are told of.
const mostWhy = 8

// Balance judges by what is known now; began is the run's, for words.
func (b *Book) Balance(began time.Time) (all Balance) {
	b.mu.Lock()
	defer b.mu.Unlock()
	all.Bytes = b.bytes
	for _, n := range b.done {
		all.Done += n
	}
	for _, s := range b.failed {
		switch {
		case errors.Is(s.Err, ErrWrong):
			all.Wrong++
		case b.excused(s):
			all.Excused++
			continue
		case s.refused():
			all.Refused++
		default:
			all.Lost++
		}
		if len(all.Why) < mostWhy {
			all.Why = append(all.Why, b.describe(s, began))
		}
	}
	return all
}

// soon is within what a client hears that its request leads nowhere.
const soon = 6 * time.Second

func (s Session) refused() bool { return !s.Opened && s.Ended.Sub(s.Began) < soon }

// describe says what became of a session, and what was wrong with links meanwhile or
// shortly before.
func (b *Book) describe(s Session, began time.Time) string {
	from, to := s.Began.Sub(began), s.Ended.Sub(began)
	text := fmt.Sprintf("%s from %.1f to %.1f s: %v", s.Kind, from.Seconds(), to.Seconds(), s.Err)
	for _, f := range b.plan {
		if f.At < to && f.At+f.For+settle > from && to-from < Bearable {
			text += fmt.Sprintf(" (%s %s at %.1f s for %.1f s)", f.Link, f.Kind, f.At.Seconds(), f.For.Seconds())
		}
	}
	return text
}

// excused reports whether a session may have failed: the relay went away under it,
// it had no link for too long, or it was asked for while there was none.
func (b *Book) excused(s Session) bool {
	overlaps := func(w span) bool {
		return s.Ended.After(w.from) && (w.to.IsZero() || s.Began.Before(w.to.Add(settle)))
	}
	return slices.ContainsFunc(b.restarts, overlaps) || slices.ContainsFunc(b.allOut, func(w span) bool {
		return overlaps(w) && (!s.Opened || !w.to.IsZero() && w.to.Sub(w.from) > Bearable)
	})
}

// Outages returns how often all links were out, and how long at most.
func (b *Book) Outages() (times int, longest time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, w := range b.allOut {
		longest = max(longest, w.to.Sub(w.from))
	}
	return len(b.allOut), longest
}
