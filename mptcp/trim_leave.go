package mptcp

import "time"

// leaveRoom is how much may wait, as a factor to what the path holds, while another
// path is left in good order: from leaveFrom after the last byte over that until
// leaveTo. When its subflow ends, the kernel sends again all that waits on the other
// one, too, and nothing new arrives meanwhile. A path also rests while all wait for a
// packet that another has lost, which takes some round trips; then a shorter buffer
// would keep it at rest. Chosen by us.
const (
	leaveRoom  = 0.75
	leaveFrom  = 400 * time.Millisecond
	leaveTrips = 4
	leaveTo    = 1500 * time.Millisecond
)

// oneLeaves reports whether a subflow has just come to rest while one other works.
// That one then carries all by itself, and needs no room for the order of several.
func oneLeaves(subflows []Subflow) bool {
	busy, leaves, long := 0, false, leaveFrom
	for _, s := range subflows {
		if s.State == Established {
			long = max(long, leaveTrips*s.RTT)
		}
	}
	for _, s := range subflows {
		switch {
		case works(s):
			busy++
		case s.State == Established && s.Timeouts == 0 && s.LastDataSent >= long && s.LastDataSent < leaveTo:
			leaves = true
		}
	}
	return leaves && busy == 1
}

// much reports whether much was sent since the last look, or acknowledged: while a
// buffer that was made shorter runs dry, nothing is given to subflows.
func (k *trimmed) much(i Connection) bool {
	sent, acked := i.BytesSent-k.sent, i.BytesAcked-k.acked
	k.sent, k.acked = i.BytesSent, i.BytesAcked
	return max(sent, acked) >= muchSent
}
