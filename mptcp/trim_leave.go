package mptcp

import "time"

// leaveRoom is how much may wait, as a factor to what the path holds, while another
// path is left in good order: from leaveFrom after the last byte over that until
// leaveTo. When its subflow ends, the kernel sends again all that waits on the other
// one, too, and nothing new arrives meanwhile. A path also rests while all wait for what
// another is slow to deliver: then much has come early. Chosen by us.
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
