package link

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
)

// A Config says which links there are and where the journal is kept.
type Config struct {
	// Wanted are the links by name. If it is empty, every interface with a default
	// route in the main table is a link, and those that gain one later.
	Wanted []Wanted
	// Relay prepares a host for the other side: it has no links of its own, but takes
	// as many subflows as a gateway may have links, and needs the same buffers.
	Relay bool
	// Announce has a relay that is reached by both families tell gateways its address
	// of the other one, so that a link without IPv4, or without IPv6, joins connections
	// of the rest.
	Announce bool
	// StateDir holds the journal, gateway-kernel.json or relay-kernel.json, and is made if it does not exist. It must
	// outlive the process, and need not outlive the boot. Empty means that endpoints,
	// limits and sysctls stay after a crash.
	StateDir string
	// Log gets one line per change of a link; nil means none.
	Log *slog.Logger
}

func (c Config) role() string {
	if c.Relay {
		return "relay"
	}
	return "gateway"
}

func (c Config) log() *slog.Logger {
	if c.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return c.Log
}

// A Manager owns what this host's kernel knows about the links.
type Manager struct {
	log     *slog.Logger
	stop    chan struct{}
	planner planner

	// outdated says that routes may have changed since they were listed. Until they are
	// listed again, endpoints go and change, but none is added: the kernel would join
	// over it at once, perhaps by another link.
	outdated atomic.Bool

	work    sync.Mutex // held while the kernel is looked at and changed
	kernel  kernel     // nil: there is none to manage
	journal *journal
	closed  bool
	broken  map[string]bool // steps that failed last time, by their text

	mu      sync.Mutex          // guards what follows
	turned  map[netip.Addr]turn // the last of each endpoint between backup and not
	joined  []netip.Addr        // that are to be told of that again
	links   []Link
	changed chan struct{}
	idle    string // why nothing is managed, or ""
	trouble string // what could not be done, or ""
}

// New cleans what a crashed process left, then brings the kernel in step with
// the links of now. It fails on a Config that cannot be right and where the
// journal cannot be read or written. It does not fail where the right or MPTCP
// is missing: then the Manager only observes, see [Manager.Managing]. A link
// that does not exist is no error, it is waited for.
//
// The Manager stays with the network namespace of the calling thread, save for
// sysctls, which are always the process's own.
func New(cfg Config) (*Manager, error) {
	if err := check(cfg.Wanted); err != nil {
		return nil, err
	}
	k, idle, err := openKernel(cfg.role(), cfg.log())
	if err != nil {
		return nil, err
	}
	return newManager(cfg, k, idle)
}

// Set makes wanted the links from now on, as in [Config], and applies what differs.
// A link's traffic moves without a gap, whatever its mode becomes: one that is to be
// used no more stands by until what is under way over it has arrived, for which Set
// waits a second. It changes nothing if wanted cannot be right.
func (m *Manager) Set(wanted []Wanted) error {
	if err := check(wanted); err != nil {
		return err
	}
	if err := m.drain(leavers(m.Links(), wanted)); err != nil {
		return err
	}
	m.work.Lock()
	m.planner.wanted = slices.Clone(wanted)
	m.work.Unlock()
	if m.kernel == nil {
		return nil
	}
	m.kernel.refresh()
	return m.follows()
}

func check(wanted []Wanted) error {
	names := map[string]bool{}
	for _, w := range wanted {
		if err := w.check(); err != nil {
			return err
		}
		if names[w.Name] {
			return fmt.Errorf("link %q is given twice", w.Name)
		}
		names[w.Name] = true
	}
	return nil
}

// newManager takes over k, which may be nil if idle says why.
func newManager(cfg Config, k kernel, idle string) (*Manager, error) {
	m := &Manager{
		log:     cfg.log(),
		stop:    make(chan struct{}),
		planner: planner{wanted: slices.Clone(cfg.Wanted), relay: cfg.Relay, announces: cfg.Relay && cfg.Announce},
		kernel:  k,
		journal: &journal{},
		broken:  map[string]bool{},
		turned:  map[netip.Addr]turn{},
		changed: make(chan struct{}),
		idle:    idle,
	}
	if idle != "" {
		m.log.Warn("kernel settings and links are left as they are", "reason", idle)
	}
	if k == nil {
		return m, nil
	}
	if err := m.start(cfg.StateDir, journalName(cfg.role())); err != nil {
		return nil, errors.Join(err, k.close())
	}
	return m, nil
}

func (m *Manager) start(dir, name string) (err error) {
	if m.idle == "" {
		if m.journal, err = readJournal(dir, name, m.kernel.where()); err != nil {
			return err
		}
		if err := m.undo(); err != nil {
			return fmt.Errorf("clean up after an earlier run: %w", err)
		}
		if err := m.journal.write(); err != nil {
			return err
		}
	}
	return m.reconcile()
}

// CleanUp takes back what a killed process left, as [New] does, and nothing else.
func CleanUp(cfg Config) error {
	k, idle, err := openKernel(cfg.role(), cfg.log())
	if err != nil {
		return err
	}
	if k == nil || idle != "" {
		if k != nil {
			err = k.close()
		}
		return errors.Join(errors.New(idle), err)
	}
	m := &Manager{log: slog.New(slog.DiscardHandler), kernel: k}
	if m.journal, err = readJournal(cfg.StateDir, journalName(cfg.role()), k.where()); err == nil {
		err = m.undo()
	}
	return errors.Join(err, k.close())
}

// Links returns the links as they are now, in the order of their names. The
// caller owns the slice.
func (m *Manager) Links() []Link {
	m.mu.Lock()
	defer m.mu.Unlock()
	links := slices.Clone(m.links)
	for i := range links {
		links[i].Addrs, links[i].Joins = slices.Clone(links[i].Addrs), slices.Clone(links[i].Joins)
	}
	return links
}

// Changed returns a channel that is closed at the next change of any link. Take
// the channel first, then the Links, or a change between the two is missed.
func (m *Manager) Changed() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.changed
}

// Managing reports whether the kernel follows the links. If not, why says what
// is missing and how to give it. If so, why names what could not be
// done, or is "".
func (m *Manager) Managing() (ok bool, why string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.idle != "" {
		return false, m.idle
	}
	return true, m.trouble
}

// Close takes back everything that was done to the kernel. It may be called
// more than once, and beside Serve. If something could not be taken back, the
// journal stays for the next start.
func (m *Manager) Close() error {
	m.work.Lock()
	defer m.work.Unlock()
	if m.closed {
		return nil
	}
	m.closed = true
	close(m.stop)
	if m.kernel == nil {
		return nil
	}
	var err error
	if m.idle == "" {
		if err = m.undo(); err != nil {
			err = fmt.Errorf("restore what links changed: %w", err)
		}
	}
	return errors.Join(err, m.kernel.close())
}
