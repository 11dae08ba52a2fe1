package gateway

import (
	"net"
	"net/netip"
	"slices"
	"time"

	"tributary/link"
	"tributary/mptcp"
)

// strandedTime is how long a connection may be without any subflow while others hear
// the relay. The kernel joins it again within a second of a link's return, and four
// SYNs in a row may get lost on the way.
const strandedTime = 10 * time.Second

// A strand is how long a connection has been without a subflow. The relay may have
// forgotten it while nothing could tell this end: whatever would join it is refused,
// and the kernel waits on for minutes, or for ever. As long as nothing is heard of the
// relay at all, the links are to blame, and the connection is to go on when they are
// back; so only the time counts in which others hear it.
type strand struct {
	at    time.Time     // of the last look that found none; zero while there is one
	alone time.Duration // that counts
}

// note takes what a look found, and when the relay was last heard over any link. It
// reports whether the connection is to be ended.
func (s *strand) note(state reach, now, heard time.Time) bool {
	was := s.at
	s.at = now
	switch {
	case state == reached:
		*s = strand{}
	case was.IsZero() || state == joining || !heard.After(was):
	default:
		s.alone += min(now.Sub(was), 2*sampleEvery) // looks may be rare, and what is heard is of one moment
	}
	return s.alone >= strandedTime
}

// A reach is how far a connection reaches.
type reach int

const (
	reached reach = iota // a subflow lives, or nobody knows
	joining              // there is none, but one is on its way
	cut                  // there is none
)

// reachOf tells it by the kernel's word. Plain TCP tells its owner itself, but for what
// waits for an address that is no more: for a quarter of an hour.
func reachOf(full mptcp.Full, lives func(netip.Addr) bool) reach {
	if full.Fallback {
		if len(full.Subflows) > 0 && lives != nil && !lives(full.Subflows[0].Local.Addr()) {
			return cut
		}
		return reached
	}
	state := cut
	for _, s := range full.Subflows {
		switch {
		case s.Local.Addr().IsUnspecified() || s.State == mptcp.Close:
		case s.State == mptcp.SynSent:
			state = joining
		default:
			return reached
		}
	}
	return state
}

// lives reports whether an address is a link's, or may be again: that of a link which is
// away comes back with it, while one that has another address has lost the one before.
func (g *Gateway) lives(a netip.Addr) bool {
	return slices.ContainsFunc(g.config.Links.Links(), func(l link.Link) bool {
		return l.Mode != link.Off && (slices.Contains(l.Addrs, a) ||
			!slices.ContainsFunc(l.Addrs, func(other netip.Addr) bool { return other.Is4() == a.Is4() }))
	})
}

// strandings notes how far each connection reaches, and returns those to be ended. The
// caller holds the lock.
func (f *flows) strandings(now time.Time) (lost []*net.TCPConn) {
	for c, known := range f.conns {
		if known.strand.note(known.reach, now, f.heardAt) {
			lost = append(lost, c)
		}
	}
	return lost
}

// forsake ends connections: their owners get an error, and close them. It is said again
// at each look, for an owner may just have set another deadline.
func (f *flows) forsake(lost []*net.TCPConn) {
	for _, c := range lost {
		c.SetDeadline(time.Unix(1, 0))
	}
	if f.forsaken != nil && len(lost) > 0 {
		f.forsaken(len(lost))
	}
}
