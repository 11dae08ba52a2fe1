package link

import (
	"maps"
	"net/netip"
)

// Bar keeps endpoints from addresses over which MPTCP does not pass, with the reason
// for people; it replaces what was barred before, and applies what differs at once.
// Such an address keeps its rules and routes, so that connections can begin there. The
// kernel would else try to join each connection from it, in vain, and count that.
func (m *Manager) Bar(why map[netip.Addr]string) error {
	m.work.Lock()
	same := maps.Equal(m.planner.barred, why)
	m.planner.barred = maps.Clone(why)
	m.work.Unlock()
	if same || m.kernel == nil {
		return nil
	}
	return m.follows()
}
