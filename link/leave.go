package link

import (
	"slices"
	"time"
)

// drainTime is what a link gets that is to be used no more, for what is on its way
// over it: a round trip, the queues of the line, and the 128 KiB that the other side
// may hold unsent, at 2 Mbit/s. What takes longer is sent again over the others. The
// rest is for the other side's queue on the link that stays, all of which it sends again
// when a subflow ends: it is short by then (mptcp.Trimmer).
const drainTime = time.Second

// leavers returns the links that carry traffic now, and will be none or off.
func leavers(links []Link, wanted []Wanted) (names []string) {
	for _, l := range links {
		i := slices.IndexFunc(wanted, func(w Wanted) bool { return w.Name == l.Name })
		if l.Role == Full && (i < 0 && len(wanted) > 0 || i >= 0 && wanted[i].Mode == Off) {
			names = append(names, l.Name)
		}
	}
	return names
}

// drain has links stand by until what is under way over them has arrived.
func (m *Manager) drain(leaving []string) error {
	if len(leaving) == 0 || m.kernel == nil {
		return nil
	}
	m.work.Lock()
	m.planner.leaving = leaving
	m.work.Unlock()
	defer func() {
		m.work.Lock()
		m.planner.leaving = nil
		m.work.Unlock()
	}()
	if err := m.reconcile(); err != nil {
		return err
	}
	select {
	case <-m.stop:
	case <-time.After(drainTime):
	}
	return nil
}

// leave has a link stand by that is to be used no more in a moment.
func (c *candidate) leave(leaving []string) {
	if c.Role == Full && slices.Contains(leaving, c.Name) {
		c.Role = Standby
	}
}
