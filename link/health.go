package link

import "maps"

// A Health is what somebody who watches a link says of it, beyond what the kernel
// knows. The zero Health is a link that is well.
type Health struct {
	Dead     bool   // nothing comes through: it is not to be used
	Doubtful bool   // it may be failing: others are to be used before it
	Why      string // for people
}

// SetHealth says how the links are, by name; those that are not named are well. It
// applies at once what differs. A dead link loses its endpoint, which ends its
// subflows at both ends and sends again over the others what was under way; but it
// keeps its rules and routes, so that it can be probed. A doubtful one becomes a
// backup, without a gap.
func (m *Manager) SetHealth(health map[string]Health) error {
	m.work.Lock()
	same := maps.Equal(m.planner.health, health)
	m.planner.health = maps.Clone(health)
	m.work.Unlock()
	if same || m.kernel == nil {
		return nil
	}
	return m.reconcile()
}

// feel takes a link's health over, if it is up otherwise.
func (c *candidate) feel(h Health) {
	if c.State != Up {
		return
	}
	switch {
	case h.Dead:
		c.State = Silent
	case h.Doubtful:
		c.Doubtful = true
	}
	if h.Dead || h.Doubtful {
		c.note(h.Why)
	}
}
