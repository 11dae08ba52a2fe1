package mptcp

import "slices"

// startPace is how many times as fast as it delivers a path is paced by BBR that looks
// for its rate yet (bbr_high_gain is 2.885).
const startPace = 2

// starts reports whether a path is still looked for how much it carries. It then fills
// its own queue.
func starts(s Subflow) bool {
	return s.PacingRate != ^uint64(0) && s.PacingRate > startPace*s.DeliveryRate
}

// withoutStarts returns subflows as the buffer is to count them. One that starts beside
// others which do not, for it has just joined, counts with the round trip of its empty
// path: by that of the queue it is filling the buffer would grow threefold, and as the
// kernel takes its pace for its rate, most of that would wait on it while the others run
// dry.
func withoutStarts(subflows []Subflow) []Subflow {
	settled := func(s Subflow) bool { return works(s) && !starts(s) }
	if !slices.ContainsFunc(subflows, settled) {
		return subflows
	}
	subflows = slices.Clone(subflows)
	for i, s := range subflows {
		if starts(s) && s.MinRTT > 0 {
			subflows[i].RTT = min(s.RTT, s.MinRTT)
		}
	}
	return subflows
}
