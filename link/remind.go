package link

import (
	"maps"
	"net/netip"
	"slices"
	"time"
)

// joinTime is within how long a subflow has joined: three attempts over a satellite.
const joinTime = 15 * time.Second

// A turn is a change of an endpoint's part.
type turn struct {
	at   time.Time
	told time.Time // again, last
}

// due reports whether it may be told again: of many connections some join at each look,
// and each time all hear of it. So the time since the turn doubles between.
func (t turn) due(now time.Time) bool { return now.Sub(t.at) >= 2*t.told.Sub(t.at) }

// Joined says that a subflow has joined from a local address a connection that has been
// there since some time. If it may have been on its way when its link's part changed, a
// call of Steer tells the relay of that part again: the kernel tells it only on subflows
// that are open then, and one that was joining keeps at the relay the part that it began
// with, for good.
func (m *Manager) Joined(local netip.Addr, since time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if t, ok := m.turned[local]; ok && since.Before(t.at) && time.Since(t.at) < joinTime && !slices.Contains(m.joined, local) {
		m.joined = append(m.joined, local)
	}
}

// remembered takes the addresses that Joined found and that may be told again now.
func (m *Manager) remembered() (due []netip.Addr) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	m.joined = slices.DeleteFunc(m.joined, func(a netip.Addr) bool {
		t, ok := m.turned[a]
		if ok && !t.due(now) {
			return false
		}
		if ok {
			t.told = now
			m.turned[a] = t
		}
		due = append(due, a)
		return true
	})
	return due
}

// remind tells the relay again of the parts of links that Joined found.
func (m *Manager) remind() error {
	m.work.Lock()
	defer m.work.Unlock()
	joined := m.remembered()
	if len(joined) == 0 || m.closed || m.idle != "" {
		return nil
	}
	o, err := m.observe()
	if err != nil {
		return err
	}
	var steps []step
	for _, e := range m.planner.plan(o).endpoints {
		if !slices.Contains(joined, e.addr) || !slices.ContainsFunc(o.endpoints, func(x endpoint) bool { return x.same(e) && x.backup == e.backup }) {
			continue // what is to change tells by itself
		}
		// The kernel tells of changes only.
		other := e
		other.backup = !e.backup
		steps = append(steps, step{verbChange, other}, step{verbChange, e})
	}
	if failed := m.take(steps); len(failed) > 0 {
		m.kernel.alarm().raise(soon) // then it is put right
	}
	return nil
}

// turns notes when an endpoint's part changes. With the endpoint those subflows end that
// may not know of it.
func (m *Manager) turns(s step) {
	if e, ok := s.item.(endpoint); ok {
		m.mu.Lock()
		defer m.mu.Unlock()
		maps.DeleteFunc(m.turned, func(a netip.Addr, t turn) bool { return a == e.addr || time.Since(t.at) >= joinTime })
		if s.verb == verbChange {
			m.turned[e.addr] = turn{at: time.Now()}
		}
	}
}
