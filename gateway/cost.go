package gateway

import (
	"maps"
	"net/netip"

	"tributary/mptcp"
)

// What a packet has besides the data that is counted: an IP header, TCP's with a
// timestamp and 12 to 20 bytes of MPTCP's; and what the end of a subflow takes,
// after which the kernel does not tell any more. Measured on Linux 6.18.
const (
	headers4 = 20 + 20 + 12 + 16
	headers6 = headers4 + 20
	farewell = 900
)

// cost returns about how many bytes of IP packets a subflow has moved, both ways.
func cost(s mptcp.Subflow) uint64 {
	headers := uint64(headers4)
	if s.Local.Addr().Is6() {
		headers = headers6
	}
	return s.BytesSent + s.BytesReceived + headers*(uint64(s.SegmentsSent)+uint64(s.SegmentsHeard))
}

// cost returns what a connection has cost so far on each local address.
func (f *flows) cost(c *relayConn) map[netip.Addr]uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	known := f.conns[c.socket]
	if known == nil {
		return nil
	}
	f.sample(c.socket)
	all := maps.Clone(known.gone)
	for _, s := range known.live {
		all[s.Local.Addr()] += cost(s)
	}
	return all
}
