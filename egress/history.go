package egress

import (
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// Chosen by us, but for quickDelay, which is the least that RFC 8305 section 5
// allows at all between two attempts.
const (
	quickDelay  = 10 * time.Millisecond
	goodFor     = 10 * time.Minute // a name's address that won is tried first
	secondFor   = 10 * time.Minute // a family that lost often is tried second
	doubtfulFor = time.Hour        // a family that lost is given quickDelay only
	lostOften   = 3                // names, so that one broken host does not count for all
	maxNames    = 8192             // remembered, about 1 MB
)

// A history remembers what connected of late, so that what is dead costs time
// once (RFC 8305 section 5). Only comparisons count: a family loses when the
// other one, started later, connected to the same name. So a final server that is
// down altogether says nothing about families.
//
//	                loses                   loses for 3 names
//	trusted ──────────────────▶ doubtful ───────────────────▶ second
//	first, 250 ms ◀───────────  first, 10 ms ◀──────────────  after the other
//	              wins, or 1 h               10 min; wins: trusted
type history struct {
	mu         sync.Mutex
	young, old map[string]good // two generations, as in a resolve.Resolver
	families   [2]family       // IPv4, IPv6
}

type good struct {
	ip    netip.Addr
	until time.Time
}

// A family is how one IP version fared on this host.
type family struct {
	lost []string // names for which it lost, the latest last, since it won last
	last time.Time
}

// A standing is how far a family is trusted.
type standing int

const (
	trusted standing = iota
	doubtful
	second
)

func newHistory() *history { return &history{young: map[string]good{}} }

func index(v6 bool) int {
	if v6 {
		return 1
	}
	return 0
}

// advice is what the history says about a name. It does not change during a race.
type advice struct {
	good      netip.Addr // connected last, or not valid
	first6    bool       // begin with IPv6
	standings [2]standing
}

func (h *history) advise(name string) advice {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	var a advice
	for i := range h.families {
		a.standings[i] = h.families[i].standing(now)
	}
	a.first6 = a.standings[1] != second || a.standings[0] == second
	key := strings.ToLower(name)
	g, ok := h.young[key]
	if !ok {
		g = h.old[key]
	}
	if now.Before(g.until) {
		a.good, a.first6 = g.ip, g.ip.Is6()
	}
	return a
}

func (f *family) standing(now time.Time) standing {
	switch age := now.Sub(f.last); {
	case len(f.lost) == 0 || age >= doubtfulFor:
		return trusted
	case len(f.lost) < lostOften || age >= secondFor:
		return doubtful
	}
	return second
}

// won notes the address that connected, and whether the other family lost to it.
func (h *history) won(name string, ip netip.Addr, otherLost bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	key := strings.ToLower(strings.Clone(name))
	if _, known := h.young[key]; !known && len(h.young) >= maxNames/2 {
		h.young, h.old = map[string]good{}, h.young
	}
	h.young[key] = good{ip, now.Add(goodFor)}
	h.families[index(ip.Is6())] = family{}
	if otherLost {
		h.families[index(!ip.Is6())].lose(key, now)
	}
}

func (f *family) lose(name string, now time.Time) {
	if now.Sub(f.last) >= doubtfulFor {
		f.lost = nil
	}
	if f.last = now; slices.Contains(f.lost, name) {
		return
	}
	if f.lost = append(f.lost, name); len(f.lost) > lostOften {
		f.lost = slices.Delete(f.lost, 0, 1)
	}
}
