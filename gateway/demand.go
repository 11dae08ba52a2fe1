package gateway

import "time"

// Chosen by us.
const (
	// demandSlot and demandSlots make the window in which requests are counted: what
	// comes within one second has to find its connection ready, since that is about
	// what it takes to make one with all its subflows.
	demandSlot  = 100 * time.Millisecond
	demandSlots = 10

	// demandMemory is how long a burst is remembered. People who opened a page open
	// another one within minutes.
	demandMemory = 15 * time.Minute
)

// demand remembers how many connections the bursts of the recent past took. It
// keeps counts, not times, so that its size and its cost do not depend on the load.
type demand struct {
	slots [demandSlots]struct{ slot, count int64 }
	peaks [int(demandMemory / time.Minute)]struct{ minute, most int64 }
}

// add counts one request.
func (d *demand) add(now time.Time) {
	slot := now.UnixNano() / int64(demandSlot)
	s := &d.slots[slot%demandSlots]
	if s.slot != slot {
		s.slot, s.count = slot, 0
	}
	s.count++
	var sum int64
	for _, s := range d.slots {
		if slot-s.slot < demandSlots {
			sum += s.count
		}
	}
	minute := now.Unix() / 60
	p := &d.peaks[minute%int64(len(d.peaks))]
	if p.minute != minute {
		p.minute, p.most = minute, 0
	}
	p.most = max(p.most, sum)
}

// most returns how many requests came in the busiest second that is remembered.
func (d *demand) most(now time.Time) int {
	minute := now.Unix() / 60
	var most int64
	for _, p := range d.peaks {
		if minute-p.minute < int64(len(d.peaks)) {
			most = max(most, p.most)
		}
	}
	return int(most)
}
