package allowance

import "strings"

// A Reading is what an interface's counters show.
type Reading struct {
	// ID names what the counters count for, in words: the boot, the network namespace and
	// the interface there. With another ID they began at 0, as after a boot, or when a
	// modem is plugged in again; unless an interface was moved, which keeps them.
	ID string `json:"id"`
	// What was received and sent. Bytes are with Header bytes per packet that are not
	// the packet's own, and that nobody bills.
	RxBytes   uint64 `json:"rx_bytes"`
	RxPackets uint64 `json:"rx_packets"`
	TxBytes   uint64 `json:"tx_bytes"`
	TxPackets uint64 `json:"tx_packets"`
	Header    uint64 `json:"header"`
}

// since returns the bytes of IP packets that went both ways between two readings.
func (r Reading) since(old Reading) uint64 {
	if r.ID != old.ID && !r.movedFrom(old) {
		old = Reading{}
	}
	bytes := grown(r.RxBytes, old.RxBytes) + grown(r.TxBytes, old.TxBytes)
	headers := r.Header * (grown(r.RxPackets, old.RxPackets) + grown(r.TxPackets, old.TxPackets))
	return bytes - min(bytes, headers)
}

// movedFrom reports whether this is the interface of an older reading, in another
// namespace since: a container that is started again has a fresh one, and is given its
// interface anew. Counters of that size in all respects are hardly those of another.
func (r Reading) movedFrom(old Reading) bool {
	now, was := strings.Split(r.ID, " "), strings.Split(old.ID, " ")
	return len(now) == 3 && len(was) == 3 && now[0] == was[0] && now[1] != was[1] &&
		r.RxBytes >= old.RxBytes && r.RxPackets >= old.RxPackets && r.TxBytes >= old.TxBytes && r.TxPackets >= old.TxPackets
}

// narrowStep is the most by which a counter of 32 bits is believed to have grown
// between two looks.
const narrowStep = 1 << 31

// grown returns by how much a counter has grown. One that shows less than before has
// begun anew, as when a driver resets its device, or had 32 bits only, as those of
// some drivers on 32-bit systems, and has run over.
func grown(now, old uint64) uint64 {
	if now >= old {
		return now - old
	}
	if over := 1<<32 - old + now; old < 1<<32 && over < narrowStep {
		return over
	}
	return now
}
