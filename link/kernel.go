package link

import "sync"

// A kernel is what a manager needs of the operating system. The tests have one
// of their own.
type kernel interface {
	// observe looks at everything; also names sysctls to read beyond sysctlPaths. Routes
	// may be as of the last look, save after refresh.
	observe(also []string) (*observed, error)
	refresh()
	apply(step) error
	// counters are those of all interfaces, by number; without IDs.
	counters() (map[int]Counter, error)
	// alarm tells that another look is due.
	alarm() *alarm
	// where names this boot and network namespace.
	where() string
	close() error
}

// A signal says how much a kernel event matters.
type signal uint8

const (
	soon signal = 1 << iota // something changed
	now                     // something that carries traffic went away
	all                     // events were lost
)

// An alarm collects signals until somebody comes for them. Raising never waits, so
// the reader of kernel events keeps up with any burst.
type alarm struct {
	mu   sync.Mutex
	set  signal
	rung chan struct{}
}

func newAlarm() *alarm { return &alarm{rung: make(chan struct{}, 1)} }

func (a *alarm) raise(s signal) {
	a.mu.Lock()
	a.set |= s
	a.mu.Unlock()
	select {
	case a.rung <- struct{}{}:
	default:
	}
}

func (a *alarm) take() (s signal) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s, a.set = a.set, 0
	return s
}
