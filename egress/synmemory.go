package egress

import (
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Chosen by us. A SYN that a middlebox drops costs a second, so one is dropped per
// prefix and hour at first, and per day at last.
const (
	banFirst  = time.Hour
	banGrowth = 4
	banMost   = 24 * time.Hour
	banPlaces = 3    // prefixes in a row that fail over one line, so that the line is at fault
	maxPlaces = 2048 // remembered
	maxLines  = 64
)

// A synOutcome is what became of a SYN with TCP Fast Open.
type synOutcome int

const (
	synAnswered synOutcome = iota // data taken or not
	synLost                       // no answer, or a reset, where an ordinary SYN was answered
	synDoubtful                   // neither was answered
)

// A synMemory remembers where TCP Fast Open fails: towards which networks (/24 and
// /48), as there is a middlebox before some server farms, and over which of this
// host's lines, known by their addresses. The kernel remembers neither (Linux
// 6.18), and asks or sends data again each time.
type synMemory struct {
	source func(to netip.Addr) netip.Addr // the address from which a connection would leave

	mu     sync.Mutex
	places map[netip.Prefix]*ban
	lines  map[netip.Addr]*line
}

// A ban lasts longer each time, until data in a SYN was answered.
type ban struct {
	until time.Time
	times int
}

// A line is one of this host's ways out.
type line struct {
	ban
	lost [2][]netip.Prefix // in a row: of SYNs that ask for a cookie, and of those with data
}

func newSynMemory() *synMemory {
	return &synMemory{source: source, places: map[netip.Prefix]*ban{}, lines: map[netip.Addr]*line{}}
}

func (b *ban) extend(now time.Time) {
	d := banFirst
	for range b.times {
		d = min(d*banGrowth, banMost)
	}
	b.times++
	b.until = now.Add(d)
}

// may reports whether a SYN to that address may have the option. Only while a line
// is banned it asks the kernel which line that would be.
func (m *synMemory) may(to netip.Addr) bool {
	now := time.Now()
	m.mu.Lock()
	b, lines := m.places[place(to)], false
	for _, l := range m.lines {
		lines = lines || now.Before(l.until)
	}
	ok := b == nil || !now.Before(b.until)
	m.mu.Unlock()
	if !ok || !lines {
		return ok
	}
	from := m.source(to)
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.lines[from]
	return l == nil || !now.Before(l.until)
}

// learn notes what became of a SYN; data is whether it had some. From is not valid
// where the line is not known.
func (m *synMemory) learn(to, from netip.Addr, data bool, o synOutcome) {
	now, p, kind := time.Now(), place(to), 0
	if data {
		kind = 1
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if o == synAnswered {
		if data {
			delete(m.places, p)
		}
		if l := m.lines[from]; l != nil {
			if l.lost[kind] = nil; data {
				l.ban = ban{}
			}
		}
		return
	}
	entry(m.places, p, maxPlaces).extend(now)
	if o != synLost || !from.IsValid() {
		return
	}
	l := entry(m.lines, from, maxLines)
	if !slices.Contains(l.lost[kind], p) {
		l.lost[kind] = append(l.lost[kind], p)
	}
	if len(l.lost[kind]) >= banPlaces {
		l.lost[kind] = nil
		l.extend(now)
	}
}

// place is the network that shares a middlebox with ip.
func place(ip netip.Addr) netip.Prefix {
	bits := 48
	if ip.Is4() {
		bits = 24
	}
	p, _ := ip.Prefix(bits)
	return p
}

// entry returns what m has at k, or makes it; any other entry goes when there are
// too many.
func entry[K comparable, V any](m map[K]*V, k K, limit int) *V {
	v := m[k]
	if v == nil {
		for other := range m {
			if len(m) < limit {
				break
			}
			delete(m, other)
		}
		v = new(V)
		m[k] = v
	}
	return v
}
