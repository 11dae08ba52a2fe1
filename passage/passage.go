// Package passage finds out whether Multipath TCP passes each access link, and keeps
// a verdict for each way: from a local address to a port of the relay.
//
// Middleboxes remove MPTCP options, drop what carries them, or let no subflow join.
// The kernel's own remedy is to switch MPTCP off for the whole host for an hour
// (net.mptcp.blackhole_timeout); the verdicts here stand in for it, one for each way,
// and they expire.
//
//	traffic ─ Tell ─▶ Monitor ── MPTCP, and plain TCP as the control ─▶ relay
//	                     └─▶ Verdict, Port, Changed, Status, Decided
//
// Traffic says most: a subflow that joins proves that its link passes. What it leaves
// open a probe answers, a short connection of its own, so that no user's request has
// to try. What was seen is a record, and what follows from it a pure function (record.hear),
// tested by tables of histories.
package passage

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"
)

// A Config is what a Monitor needs to know.
type Config struct {
	// Links returns the links that are up.
	Links func() []Link

	// Relay returns the relay's addresses, none where nothing can be probed; Ports
	// are its ports, the preferred one first.
	Relay func() []netip.Addr
	Ports []uint16

	// Alive reports whether a link is known to reach the relay by other means: then
	// a port that does not answer is shut. Nil means never.
	Alive func(link string) bool

	// Dial connects from a local address, by MPTCP or by plain TCP. Multipath tells
	// whether a connection is MPTCP now.
	Dial      func(ctx context.Context, local netip.Addr, to netip.AddrPort, multipath bool) (net.Conn, error)
	Multipath func(net.Conn) bool

	// Decided is told of the verdicts that keep a link out of the bundle, and of their
	// ends. It must not call the Monitor. May be nil.
	Decided func(Decision)

	Log *slog.Logger
}

// A Link is an access line.
type Link struct {
	Name    string
	Addrs   []netip.Addr // from which it sends
	Metered bool         // costs by the byte
	// Via is where it leads: with other gateways it is another way, of which nothing is
	// known, also where the addresses are those of before.
	Via [2]netip.Addr
}

// A way leads from a local address to a port of the relay.
type way struct {
	local netip.Addr
	port  uint16
}

// A Monitor keeps verdicts. Make it with New; Run probes.
type Monitor struct {
	config  Config
	start   time.Time
	changed chan struct{}
	wake    chan struct{}

	mu      sync.Mutex
	records map[way]*record
	port    uint16
	asking  map[way]bool
}

// New returns a Monitor that has seen nothing yet.
func New(config Config) *Monitor {
	if config.Alive == nil {
		config.Alive = func(string) bool { return false }
	}
	if config.Decided == nil {
		config.Decided = func(Decision) {}
	}
	return &Monitor{
		config: config, start: time.Now(), port: config.Ports[0],
		changed: make(chan struct{}, 1), wake: make(chan struct{}, 1),
		records: make(map[way]*record), asking: make(map[way]bool),
	}
}

// Port returns the port of the relay that connections are to be opened to.
func (m *Monitor) Port() uint16 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.port
}

// Verdict returns what is thought of the way from a local address to the port in use.
func (m *Monitor) Verdict(local netip.Addr) Verdict {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.verdict(way{local, m.port})
}

func (m *Monitor) verdict(w way) Verdict {
	if r := m.records[w]; r != nil {
		return r.verdict
	}
	return Unknown
}

// Doubtful reports whether something speaks against a way, of which a probe is to tell
// more: connections better begin elsewhere.
func (m *Monitor) Doubtful(local netip.Addr) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.records[way{local, m.port}]
	return r != nil && r.suspect
}

// Trial reports whether a link that did not let subflows join is being tried again:
// if living connections have not joined by now, that is [Missed].
func (m *Monitor) Trial(local netip.Addr) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.records[way{local, m.port}]
	return r != nil && r.trial > 0
}

// Changed delivers when a verdict, or the port, may have changed, to one receiver.
func (m *Monitor) Changed() <-chan struct{} { return m.changed }

// Tell enters what traffic has shown of a way. To ports that are not the relay's for
// gateways there is none.
func (m *Monitor) Tell(local netip.Addr, port uint16, e Evidence) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range m.config.Ports {
		if p == port {
			m.hear(way{local, port}, e)
			return
		}
	}
}

// hear enters evidence. The caller holds the lock.
func (m *Monitor) hear(w way, e Evidence) {
	r := m.records[w]
	if r == nil {
		r = &record{asked: -1}
		m.records[w] = r
	}
	m.update(w, r, r.hear(e, m.now()))
}

func (m *Monitor) update(w way, r *record, now record) {
	was := *r
	*r = now
	if now.verdict != was.verdict {
		if was.verdict.Bad() || now.verdict.Bad() {
			name := m.linkOf(w.local)
			m.config.Decided(Decision{At: time.Now(), Link: name, Port: w.port, From: was.verdict, To: now.verdict})
			m.config.Log.Info("link", "link", name, "port", w.port, "mptcp", now.verdict.String(), "why", now.verdict.Why())
		}
		m.choosePort()
		signal(m.changed)
	}
	if now.suspect && !was.suspect {
		signal(m.wake)
	}
}

func (m *Monitor) choosePort() {
	var ports [][]Verdict
	relay := m.config.Relay()
	for _, p := range m.config.Ports {
		var ways []Verdict
		for _, l := range m.config.Links() {
			for _, a := range l.Addrs {
				if _, ok := reach(relay, a, p); ok {
					ways = append(ways, m.verdict(way{a, p}))
				}
			}
		}
		ports = append(ports, ways)
	}
	port := m.config.Ports[choose(ports)]
	if port != m.port {
		m.config.Log.Info("the relay is used at another port", "port", port)
		m.port = port
		signal(m.changed) // other verdicts count now
	}
}

func (m *Monitor) linkOf(local netip.Addr) string {
	for _, l := range m.config.Links() {
		for _, a := range l.Addrs {
			if a == local {
				return l.Name
			}
		}
	}
	return ""
}

// Hurry makes the Monitor look at Links at once: they have changed.
func (m *Monitor) Hurry() { signal(m.wake) }

func (m *Monitor) now() time.Duration { return time.Since(m.start) }

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
