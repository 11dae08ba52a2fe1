// Package history keeps what was decided about links, for people to read: the last
// decisions, of which those that repeat soon are one with a count. So a link that comes
// and goes all night leaves room for what happened to the others before.
package history

import (
	"slices"
	"sync"
	"time"
)

// Chosen by us.
const (
	// Most is how many decisions are kept.
	Most = 50

	// soon is how long after the last time the same decision is a repetition.
	soon = 10 * time.Minute
)

// A Decision is a change of what is thought of a link, or of what it does.
type Decision struct {
	At       time.Time // the last time
	By       string    // who decided
	Link     string
	Port     int // of the relay, for what is so at one port only; or 0
	From, To string
	Reason   string
	Why      string // the evidence of the last time, in words

	// Minor is whether it is worth less than those that are not: a doubt, say. Of too
	// many decisions such go first.
	Minor bool

	Count int       // how often it was made in a row of repetitions; Add sets it
	First time.Time // the first time of that row; likewise
}

// A History is the last decisions. The zero History has none.
type History struct {
	mu  sync.Mutex
	all []Decision // in the order of At
}

// Add notes a decision that was made just now.
func (h *History) Add(d Decision) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all = add(h.all, d)
}

// Last returns the decisions, Most at most, oldest first.
func (h *History) Last() []Decision {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.all)
}

func add(all []Decision, d Decision) []Decision {
	d.Count, d.First = 1, d.At
	if i := slices.IndexFunc(all, func(was Decision) bool { return same(was, d) && d.At.Sub(was.At) < soon }); i >= 0 {
		d.Count, d.First = all[i].Count+1, all[i].First
		all = slices.Delete(all, i, i+1)
	}
	all = append(all, d)
	if len(all) > Most {
		i := max(0, slices.IndexFunc(all, func(d Decision) bool { return d.Minor }))
		all = slices.Delete(all, i, i+1)
	}
	return all
}

func same(a, b Decision) bool {
	return a.By == b.By && a.Link == b.Link && a.Port == b.Port && a.From == b.From && a.To == b.To && a.Reason == b.Reason
}
