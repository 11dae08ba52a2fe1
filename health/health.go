// Package health finds out which access links lead to the relay, and how well. It
// sends small datagrams from each link's address to the relay (see package
// [tributary/proto/probe]), listens to what the kernel tells of the traffic, and
// says of each link whether it is alive, doubtful or dead, since when and why.
//
//	Links ─▶ Monitor ── probe, from each link's address ─▶ relay
//	Heard ─▶    │    ◀─────────────── echo ───────────────
//	Busy  ─▶    └─▶ Verdict, Changed, Status, Decided
//
// What was seen is a record, the decision a pure function of all links' records
// (judge), and how often to ask another one (pace). They know neither clock nor
// socket, so that their tests are tables of histories.
//
// Three rules keep it from doing harm. A link over which anything arrives is not
// dead, whatever becomes of probes. If no link hears the relay none is dead: it is
// the relay that is silent. And where probes were never answered, because a network
// lets no UDP pass, nothing is concluded from that.
package health

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"

	"tributary/proto/probe"
)

// A Config is what a Monitor needs to know.
type Config struct {
	Secret [16]byte // the account's

	// Relay returns the relay's addresses. The first that has the family of one of
	// a link's is probed over that link; where that answers nothing, so are its other
	// ports by turns.
	Relay func() []netip.AddrPort

	// Links returns the links that are to be probed. Links that are missing are
	// forgotten but for how often they died.
	Links func() []Link

	// LastHeard returns when bytes last arrived over a link. It is asked before a link
	// is called dead, so that [Monitor.Heard] need not be called often. May be nil.
	LastHeard func(name string) time.Time

	// Knock reports whether the relay answers by TCP from local, until ctx ends: then a
	// link at rest that loses nothing but probes is not dead. It is called seldom. May be
	// nil.
	Knock func(ctx context.Context, local netip.Addr, relay netip.AddrPort) bool

	// Dial opens a datagram socket from local to relay; nil means UDP. That the
	// address is bound has to be enough to leave by its link.
	Dial func(local netip.Addr, relay netip.AddrPort) (net.Conn, error)

	// Decided is told of each change of a verdict, in their order. It must not call the
	// Monitor. May be nil.
	Decided func(Decision)

	Log *slog.Logger
}

// A Link is an access line that is to be probed.
type Link struct {
	Name    string
	Addrs   []netip.Addr // from which it sends, the first choice first
	Metered bool         // costs by the byte
}

// A Monitor probes links. Make it with New, and let Run do it.
type Monitor struct {
	config   Config
	key      *probe.Key // of Run alone
	start    time.Time
	wall     func() time.Time // without a monotonic reading
	changed  chan struct{}
	wake     chan struct{}
	arrivals chan arrival
	readers  sync.WaitGroup

	mu       sync.Mutex
	probers  map[string]*prober
	order    []*prober // those that Links named last
	refresh  bool      // Links is to be asked
	instance uint64
}

// New returns a Monitor that knows no link yet.
func New(config Config) *Monitor {
	if config.Dial == nil {
		config.Dial = dialUDP
	}
	if config.LastHeard == nil {
		config.LastHeard = func(string) time.Time { return time.Time{} }
	}
	if config.Decided == nil {
		config.Decided = func(Decision) {}
	}
	return &Monitor{
		config: config, key: probe.NewKey(config.Secret), start: time.Now(),
		wall:     func() time.Time { return time.Now().Round(0) },
		changed:  make(chan struct{}, 1),
		wake:     make(chan struct{}, 1),
		arrivals: make(chan arrival, 64),
		probers:  make(map[string]*prober),
		refresh:  true,
	}
}

func dialUDP(local netip.Addr, relay netip.AddrPort) (net.Conn, error) {
	return net.DialUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(local, 0)), net.UDPAddrFromAddrPort(relay))
}

// Verdict returns what is thought of a link. Of one that is not probed nothing is
// known.
func (m *Monitor) Verdict(name string) Verdict {
	m.mu.Lock()
	defer m.mu.Unlock()
	if p := m.probers[name]; p != nil && p.present {
		return m.verdict(p.was)
	}
	return Verdict{}
}

func (m *Monitor) verdict(s standing) Verdict {
	return Verdict{State: s.State, Reason: s.Reason, Why: s.why, Since: m.start.Add(s.since)}
}

// Changed delivers when a verdict may have changed, to one receiver.
func (m *Monitor) Changed() <-chan struct{} { return m.changed }

// Heard tells that bytes of the traffic arrived over a link, an acknowledgement
// at least, and when the last of them did.
func (m *Monitor) Heard(name string, at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if p := m.probers[name]; p != nil && !at.IsZero() {
		p.record.hear(min(at.Sub(m.start), time.Since(m.start)))
	}
}

// Busy tells how many bytes a link's traffic took, both ways, since the last call. It
// has to be called every second or so while there are any: then the link is
// probed fast. A metered link has to carry some 100 kB/s for that to go on and on.
func (m *Monitor) Busy(name string, bytes uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.probers[name]
	if p == nil || bytes == 0 {
		return
	}
	now := m.now()
	if now-p.busy >= busyTime {
		m.poke()
	}
	p.busy = now
	p.purse.earn(bytes)
}

// Hurry has a link probed fast for a second: it was just connected, or somebody
// is about to depend on it. It also makes the monitor look at Links at once.
func (m *Monitor) Hurry(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.refresh = true
	if p := m.probers[name]; p != nil {
		p.hurry = m.now() + hurryTime
	}
	m.poke()
}

// Suspect tells that a link may be failing: a request over it was not acknowledged,
// a subflow timed out. All links are probed fast, the others to show that the
// relay is there.
func (m *Monitor) Suspect(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	for _, p := range m.order {
		p.hurry = max(p.hurry, now+vouchTime)
		if p.name == name {
			p.hurry = now + hurryTime
		}
	}
	m.poke()
}

// Instance returns the relay's instance as the last echo had it, 0 before the
// first. It changes when the relay starts anew.
func (m *Monitor) Instance() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.instance
}

// Status returns what is known of the links that are probed.
func (m *Monitor) Status() []Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	out := make([]Status, 0, len(m.order))
	for _, p := range m.order {
		o := p.record.observe(now, p.was.amnesty)
		s := Status{
			Name: p.name, Verdict: m.verdict(p.was),
			RTT: o.rtt, Jitter: o.jitter, MinRTT: o.min, Loss: o.loss(), Recent: p.record.recent(now),
			Sent: p.sent, Echoes: p.echoes, Bytes: p.bytes,
			Falls: p.was.falls, Hold: p.was.hold(),
		}
		if h := max(o.heard, o.answer); h > 0 {
			s.Heard = m.start.Add(h)
		}
		out = append(out, s)
	}
	return out
}

func (m *Monitor) now() time.Duration { return time.Since(m.start) }

// poke has Run look again.
func (m *Monitor) poke() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// Run probes until ctx ends. It is to be called once.
func (m *Monitor) Run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer m.readers.Wait()
	defer cancel()
	l := loop{Monitor: m, ctx: ctx}
	defer l.closeAll()
	timer := time.NewTimer(l.pass(nil))
	defer timer.Stop()
	for {
		var first []arrival
		select {
		case <-ctx.Done():
			return
		case a := <-m.arrivals:
			first = []arrival{a}
		case <-m.wake:
		case <-timer.C:
		}
		timer.Reset(l.pass(first))
	}
}

// newBase returns where a link's sequence numbers start, so that echoes of an
// earlier run fit nothing.
func newBase() uint32 { return rand.Uint32() }
