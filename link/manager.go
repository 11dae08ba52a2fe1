package link

import (
	"context"
	"log/slog"
)

// A Config says which links there are and where the journal is kept.
type Config struct {
	// Wanted are the links by name. If it is empty, every interface with a default
	// route in the main table is a link, and those that gain one later.
	Wanted []Wanted
	// StateDir holds the journal links.json. It must survive the process, and
	// need not survive the machine. Empty means that a crash cannot be cleaned.
	StateDir string
	// Log gets one line per change of a link; nil means none.
	Log *slog.Logger
}

// A Manager owns what this host's kernel knows about the links.
type Manager struct{}

// New cleans what a crashed process left, then brings the kernel in step with
// the links of now. It fails on a Config that cannot be right and where the
// state directory cannot be written. It does not fail where the right or MPTCP
// is missing: then the Manager only observes, see [Manager.Managing].
func New(cfg Config) (*Manager, error) { return &Manager{}, nil }

// Serve follows the links until ctx ends, then takes everything back.
func (m *Manager) Serve(ctx context.Context) error {
	<-ctx.Done()
	return m.Close()
}

// Links returns the links as they are now, named ones in the order of their
// names. The caller owns the slice.
func (m *Manager) Links() []Link { return nil }

// Changed returns a channel that is closed at the next change of any link. Take
// the channel first, then the Links, or a change between the two is missed.
func (m *Manager) Changed() <-chan struct{} { return nil }

// Managing reports whether the kernel follows the links. If not, why says what
// is missing and how to give it. If so, why names what could not be
// done, or is "".
func (m *Manager) Managing() (ok bool, why string) { return false, "not built yet" }

// Close takes back everything that was done to the kernel. It may be called
// more than once, and beside Serve.
func (m *Manager) Close() error { return nil }
