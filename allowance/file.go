package allowance

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"tributary/durable"
)

// Chosen by us: routers have flash memory that wears.
const (
	// smallChange is what is not worth writing for, in bytes.
	smallChange = 1_000_000

	// smallChangeEvery is how often it is written all the same.
	smallChangeEvery = 15 * time.Minute
)

// most is more than any link carries in a day, or has carried so far, in bytes.
const most = 1 << 50

// A fileAccount is one link in the file, which is an object of them by name. Days
// are by date, so that a person can read and correct them.
type fileAccount struct {
	Last  Reading           `json:"last"`
	At    int64             `json:"at"` // since 1970, in seconds
	Level string            `json:"level,omitempty"`
	Days  map[string]uint64 `json:"days"`
}

// Open reads the book at path, which need not exist; "" keeps none beyond the
// process. With an error it returns an empty book that can be used all the same.
func Open(path string) (*Book, error) {
	b := &Book{path: path, links: map[string]*account{}}
	if path == "" {
		return b, nil
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return b, nil
	}
	if err == nil {
		err = b.read(text)
	}
	if err != nil {
		b.links, b.latest = map[string]*account{}, time.Time{}
		return b, fmt.Errorf("read what the links have carried: %s: %w", path, err)
	}
	return b, nil
}

func (b *Book) read(text []byte) error {
	var file map[string]fileAccount
	if err := json.Unmarshal(text, &file); err != nil {
		return err
	}
	if len(file) > keepLinks {
		return fmt.Errorf("%d links, at most %d", len(file), keepLinks)
	}
	for name, f := range file {
		a := &account{last: f.Last, at: time.Unix(f.At, 0), days: map[day]uint64{}}
		if a.at.Before(earliest) || a.at.Year() > 9999 {
			return fmt.Errorf("link %q: no time of ours", name)
		}
		if a.at.After(b.latest) {
			b.latest = a.at
		}
		for level := range numThrifts {
			if level.String() == f.Level {
				a.level = level
			}
		}
		for date, bytes := range f.Days {
			d, err := parseDay(date)
			if err != nil || bytes > most {
				return fmt.Errorf("link %q: want a date and a number of bytes", name)
			}
			a.days[d] = bytes
		}
		b.links[name] = a
	}
	return nil
}

// Save writes the book, if it was not written for that long and it is worth it; with
// 0 at once. A crash of the program loses nothing even so, for the next start counts
// on from the last reading; a loss of power loses what was not written.
func (b *Book) Save(now time.Time, least time.Duration) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	since := now.Sub(b.saved)
	switch {
	case b.path == "" || b.latest.IsZero():
		return nil
	case least > 0 && (!b.dirty || since < least || b.unsaved < smallChange && since < smallChangeEvery):
		return nil
	}
	b.saved = now // also if it fails: it is not to be tried all the time
	text, err := b.text()
	if err == nil {
		err = durable.WriteFile(b.path, text)
	}
	if err != nil {
		return fmt.Errorf("write what the links have carried: %w", err)
	}
	b.unsaved, b.dirty = 0, false
	return nil
}

func (b *Book) text() ([]byte, error) {
	file := map[string]fileAccount{}
	for name, a := range b.links {
		if a.at.IsZero() {
			continue
		}
		f := fileAccount{Last: a.last, At: a.at.Unix(), Days: map[string]uint64{}}
		if a.level != None {
			f.Level = a.level.String()
		}
		for d, bytes := range a.days {
			f.Days[d.String()] = min(bytes, most)
		}
		file[name] = f
	}
	text, err := json.MarshalIndent(file, "", "\t")
	return append(text, '\n'), err
}
