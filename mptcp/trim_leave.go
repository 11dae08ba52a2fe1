package mptcp

import "time"

// leaveRoom is how much may wait, as a factor to what the path holds, while another
// path is left in good order: from leaveFrom after the last byte over that until
// leaveTo. When its subflow ends, the kernel sends again all that waits on the other
// one, too, and nothing new arrives meanwhile. Chosen by us.
const (
	leaveRoom = 0.75
	leaveFrom = 150 * time.Millisecond
	leaveTo   = 2 * time.Second
)

// oneLeaves reports whether a subflow has just come to rest while one other works.
// That one then carries all by itself, and needs no room for the order of several.
func oneLeaves(subflows []Subflow) bool {
	busy, leaves := 0, false
	for _, s := range subflows {
		switch {
		case works(s):
			busy++
		case s.State == Established && s.Timeouts == 0 && s.LastDataSent >= leaveFrom && s.LastDataSent < leaveTo:
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
