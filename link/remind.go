package link

import (
	"maps"
	"net/netip"
	"slices"
	"time"
)

// joinTime is within how long a subflow has joined: three attempts over a satellite.
const joinTime = 15 * time.Second

// Joined says that a subflow has joined from a local address. If it may have been on
// its way when its link's part changed, the next call of Steer tells the relay of that
// part again: the kernel tells it only on subflows that are open then, and one that was
// joining keeps at the relay the part that it began with, for good.
func (m *Manager) Joined(local netip.Addr) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if at, ok := m.turned[local]; ok && time.Since(at) < joinTime && !slices.Contains(m.joined, local) {
		m.joined = append(m.joined, local)
	}
}

// remind tells the relay again of the parts of links that Joined found.
func (m *Manager) remind() error {
	m.work.Lock()
	defer m.work.Unlock()
	m.mu.Lock()
	joined := m.joined
	m.joined = nil
	m.mu.Unlock()
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

// turns notes when an endpoint's part changes.
func (m *Manager) turns(s step) {
	if e, ok := s.item.(endpoint); ok && s.verb == verbChange {
		m.mu.Lock()
		defer m.mu.Unlock()
		maps.DeleteFunc(m.turned, func(_ netip.Addr, at time.Time) bool { return time.Since(at) >= joinTime })
		m.turned[e.addr] = time.Now()
	}
}
