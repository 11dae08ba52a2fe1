package gateway

import (
	"net/netip"
	"time"
)

// A volume is what a subflow or a local address has carried, in bytes of payload.
type volume struct{ up, down uint64 }

// A volumes is what every local address had carried at some moment.
type volumes struct {
	at time.Time
	by map[netip.Addr]volume
}

// mark notes what was carried until now, for rates. The caller holds the lock and has
// just sampled.
func (f *flows) mark(now time.Time) {
	by := f.marks[0].by
	if by == nil {
		by = make(map[netip.Addr]volume)
	}
	clear(by)
	for a, t := range f.past {
		by[a] = volume{t.up, t.down}
	}
	for _, known := range f.conns {
		for _, s := range known.live {
			v := by[s.Local.Addr()]
			v.up += s.BytesAcked
			v.down += s.BytesReceived
			by[s.Local.Addr()] = v
		}
	}
	f.marks[0], f.marks[1] = f.marks[1], volumes{now, by}
}

// rate fills in the rates of all, which are the totals of now: those since the last
// mark but one, so of one to two seconds. The caller holds the lock.
func (f *flows) rate(all map[netip.Addr]traffic, now time.Time) {
	before := f.marks[0]
	span := now.Sub(before.at).Seconds()
	if before.at.IsZero() || span <= 0 {
		return
	}
	for a, t := range all {
		v := before.by[a]
		t.upRate = float64(t.up-min(v.up, t.up)) / span
		t.downRate = float64(t.down-min(v.down, t.down)) / span
		all[a] = t
	}
}

// rest notes that a connection carries nothing now: what a session of it shows
// counts from here.
func (f *flows) rest(c *relayConn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	known := f.conns[c.socket]
	if known == nil {
		return
	}
	known.base = make(map[subflowKey]volume, len(known.live))
	for key, s := range known.live {
		known.base[key] = volume{s.BytesAcked, s.BytesReceived}
	}
}
