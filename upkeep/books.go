// Package upkeep keeps the books of what a gateway spends on its links for
// itself: on connections that wait for somebody who may never come. Of a metered
// link it says how much of the day's budget is left.
package upkeep

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	"tributary/durable"
)

// Budget is what may be spent on a metered link in any 24 hours, in bytes of IP
// packets both ways: 60 MB a month, of which small plans have some hundreds.
const Budget = 2_000_000

// window is how many hours are remembered. With the present one, which has only
// begun, they cover 24 hours in full.
const window = 25

// saveEvery is how much of the books a crash may lose. Routers have flash memory
// that wears.
const saveEvery = 15 * time.Minute

// Books are what was spent on each link, by the hour. They may be used by several
// goroutines at once.
type Books struct {
	path string

	mu    sync.Mutex
	links map[string]*page
	saved time.Time
	dirty bool
}

// A page has the hours of one link, each at its number modulo window.
type page [window]entry

type entry struct {
	Hour  int64  `json:"hour"` // since 1970
	Bytes uint64 `json:"bytes"`
}

// Open reads the books at path, which need not exist; "" keeps none beyond the
// process. With an error it returns empty books that can be used all the same.
func Open(path string) (*Books, error) {
	b := &Books{path: path, links: map[string]*page{}}
	if path == "" {
		return b, nil
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return b, nil
	}
	if err != nil {
		return b, fmt.Errorf("read what upkeep has cost: %w", err)
	}
	var file map[string][]entry
	if err := json.Unmarshal(text, &file); err != nil {
		return b, fmt.Errorf("read what upkeep has cost: %s: %w", path, err)
	}
	for link, entries := range file {
		p := &page{}
		for _, e := range entries {
			if e.Hour >= 0 {
				p[e.Hour%window] = e
			}
		}
		b.links[link] = p
	}
	return b, nil
}

// Spend enters bytes spent on a link.
func (b *Books) Spend(link string, bytes uint64, now time.Time) {
	if bytes == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.links[link]
	if p == nil {
		p = &page{}
		b.links[link] = p
	}
	hour := now.Unix() / 3600
	e := &p[hour%window]
	if e.Hour != hour {
		*e = entry{Hour: hour}
	}
	e.Bytes += bytes
	b.dirty = true
}

// Spent returns what was spent on a link in the last 24 hours, at least. What the
// books hold of a time to come, after the clock was set back, counts for nothing.
func (b *Books) Spent(link string, now time.Time) (sum uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.links[link]
	if p == nil {
		return 0
	}
	hour := now.Unix() / 3600
	for _, e := range p {
		if e.Hour <= hour && e.Hour > hour-window {
			sum += e.Bytes
		}
	}
	return sum
}

// Save writes the books, seldom: at once only if it is the last time.
func (b *Books) Save(now time.Time, last bool) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.path == "" || !b.dirty || !last && now.Sub(b.saved) < saveEvery {
		return nil
	}
	file := map[string][]entry{}
	hour := now.Unix() / 3600
	for link, p := range b.links {
		for _, e := range p {
			if e.Bytes > 0 && e.Hour > hour-window {
				file[link] = append(file[link], e)
			}
		}
	}
	text, err := json.Marshal(file)
	if err == nil {
		err = durable.WriteFile(b.path, text)
	}
	if err != nil {
		return fmt.Errorf("write what upkeep has cost: %w", err)
	}
	b.saved, b.dirty = now, false
	return nil
}
