package allowance

// A Reading is what an interface's counters show.
type Reading struct {
	// ID names what the counters count for: with another ID they began at 0. A boot,
	// and an interface that is made anew when a modem is plugged in again, have one each.
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
	if r.ID != old.ID {
		old = Reading{}
	}
	bytes := grown(r.RxBytes, old.RxBytes) + grown(r.TxBytes, old.TxBytes)
	headers := r.Header * (grown(r.RxPackets, old.RxPackets) + grown(r.TxPackets, old.TxPackets))
	return bytes - min(bytes, headers)
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
