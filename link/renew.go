package link

import (
	"errors"
	"slices"
)

// Renew has all connections leave the named links and join them again, by taking
// their endpoints away for a moment. After a long silence that is much sooner than to
// wait: a subflow that has been sending again into the void tries again after as much
// time as it has been silent, and only then finds out that the way is free.
func (m *Manager) Renew(names []string) error {
	if len(names) == 0 || m.kernel == nil {
		return nil
	}
	set := func(names []string) error {
		m.work.Lock()
		m.planner.renewing = names
		m.work.Unlock()
		return m.follows()
	}
	return errors.Join(set(names), set(nil)) // whatever became of the first
}

// renew has a link lose its endpoint for the moment of one plan.
func (c *candidate) renew(renewing []string) {
	if slices.Contains(renewing, c.Name) {
		c.Role = Out
	}
}
