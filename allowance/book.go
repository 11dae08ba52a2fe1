package allowance

import (
	"maps"
	"sync"
	"time"
)

// Chosen by us.
const (
	// keepDays is how long a day is remembered: this billing month and the one before.
	keepDays = 70

	// keepLinks is how many links are remembered; names of interfaces come and go.
	keepLinks = 64

	// patience is how long a clock that was set back is not believed. Routers without a
	// battery begin at some time of the past until the network tells them better.
	patience = 6 * time.Hour
)

// earliest is a time that is over: a clock that shows less is not set.
var earliest = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// A Book has what each link has carried, by the day. It may be used by several
// goroutines at once. Days are those of the location of the times it is given.
type Book struct {
	path string

	mu      sync.Mutex
	links   map[string]*account
	latest  time.Time // the last time that was believed
	behind  time.Time // what the clock showed when it was first behind that, or zero
	saved   time.Time
	unsaved uint64 // bytes counted since
	dirty   bool
}

// An account is one link's.
type account struct {
	last  Reading
	at    time.Time // of last; zero if the clock was not set then
	days  map[day]uint64
	level Thrift // that its own allowance asked for last
}

// Count takes a reading of a link's counters. The first one ever begins the account.
// What went since the reading before it is spread over the time between the two, of
// which the gateway may have been off for days.
func (b *Book) Count(link string, r Reading, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now = b.believe(now)
	a := b.links[link]
	if a == nil {
		b.makeRoom()
		a = &account{last: r, days: map[day]uint64{}}
		b.links[link] = a
	}
	if now.Before(earliest) {
		return // the next reading tells as much
	}
	moved := r.since(a.last)
	a.spread(moved, now)
	for d := range a.days {
		if d <= dayOf(now)-keepDays {
			delete(a.days, d)
		}
	}
	b.unsaved += moved
	b.dirty = b.dirty || moved > 0 || a.last.ID != r.ID || a.at.IsZero()
	a.last, a.at, b.latest = r, now, now
}

// makeRoom forgets the link that was not seen for the longest time, if there are too
// many.
func (b *Book) makeRoom() {
	oldest := ""
	for name, a := range b.links {
		if oldest == "" || a.at.Before(b.links[oldest].at) {
			oldest = name
		}
	}
	if len(b.links) >= keepLinks {
		delete(b.links, oldest)
	}
}

// spread enters bytes that went between a.at and now.
func (a *account) spread(bytes uint64, now time.Time) {
	today := dayOf(now)
	left := bytes
	if from := a.at.In(now.Location()); !a.at.IsZero() && a.at.Before(now) {
		whole := now.Sub(from).Seconds()
		for d := max(dayOf(from), today-keepDays); d < today; d++ {
			begin, end := d.begin(now.Location()), (d + 1).begin(now.Location())
			if begin.Before(from) {
				begin = from
			}
			share := min(left, uint64(float64(bytes)*end.Sub(begin).Seconds()/whole))
			if share > 0 {
				a.days[d] += share
			}
			left -= share
		}
	}
	a.days[today] += left
}

// believe returns the time to reckon with when the clock shows now. Where the clock
// was set back, time stands still until it has caught up; after a while of that it was
// wrong before, and what was entered for days to come is of today.
func (b *Book) believe(now time.Time) time.Time {
	now = now.Round(0) // it is the clock on the wall that matters here
	latest := b.latest.In(now.Location())
	switch {
	case !now.Before(latest):
		b.behind = time.Time{}
		return now
	case now.Before(earliest):
		return latest
	case b.behind.IsZero() || now.Before(b.behind):
		b.behind = now
	}
	if now.Sub(b.behind) < patience {
		return latest
	}
	today := dayOf(now)
	for _, a := range b.links {
		for d, n := range maps.Clone(a.days) {
			if d > today {
				delete(a.days, d)
				a.days[today] += n
			}
		}
		if a.at.After(now) {
			a.at = now
		}
	}
	b.latest, b.behind, b.dirty = now, time.Time{}, true
	return now
}

// Level returns the level that [Book.SetLevel] has entered for a link last, also
// before a restart.
func (b *Book) Level(link string) Thrift {
	b.mu.Lock()
	defer b.mu.Unlock()
	if a := b.links[link]; a != nil {
		return a.level
	}
	return None
}

// SetLevel enters a link's [Verdict.Own], which [Decide] wants to know the next time.
func (b *Book) SetLevel(link string, level Thrift) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if a := b.links[link]; a != nil && a.level != level {
		a.level, b.dirty = level, true
	}
}
