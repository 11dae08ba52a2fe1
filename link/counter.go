package link

import (
	"errors"
	"fmt"
	"strconv"
)

// A Counter is what an interface's counters show: all that passed it, whoever sent
// it. They are the kernel's, and begin at 0 with the interface.
type Counter struct {
	// ID names this boot, network namespace and interface, in one word each. Counters of
	// another ID began at 0: a modem that is plugged in again is another interface,
	// whatever its name. One that is moved to another namespace keeps its counters.
	ID string
	// What was received and sent. Bytes are with Header bytes of each packet that are
	// the link layer's and do not leave the house: 14 where it is Ethernet, else 0. What
	// a virtual device takes in one piece, to be cut into packets by another, it counts
	// as one packet, so bytes sent can be some percent less than those on the line.
	RxBytes, RxPackets, TxBytes, TxPackets uint64
	Header                                 uint64
}

// Counters returns those of all links that there are, by name. It needs no right. It
// fails where there is no kernel to ask, and when the manager is closed.
func (m *Manager) Counters() (map[string]Counter, error) {
	m.work.Lock()
	defer m.work.Unlock()
	if m.kernel == nil || m.closed {
		return nil, errors.New("count what links carry: nobody to ask")
	}
	by, err := m.kernel.counters()
	if err != nil {
		return nil, fmt.Errorf("count what links carry: %w", err)
	}
	all := map[string]Counter{}
	for _, l := range m.Links() {
		if c, ok := by[l.Index]; ok {
			c.ID = m.kernel.where() + " " + strconv.Itoa(l.Index)
			all[l.Name] = c
		}
	}
	return all, nil
}
