package mptcp

import (
	"testing"
	"time"
)

// The buffer is short from when a path has come to rest until its subflow should have
// ended, where one path is left.
func TestOneLeaves(t *testing.T) {
	busy := Subflow{ID: 1, State: Established, CWnd: 220, MSS: 1448, RTT: 80 * time.Millisecond, Unacked: 200}
	other := busy
	other.ID = 2
	rests := func(last time.Duration, change func(*Subflow)) Subflow {
		s := Subflow{ID: 3, State: Established, CWnd: 220, MSS: 1448, RTT: 40 * time.Millisecond, LastDataSent: last}
		if change != nil {
			change(&s)
		}
		return s
	}
	for _, c := range []struct {
		name     string
		subflows []Subflow
		want     bool
	}{
		{"one", []Subflow{busy}, false},
		{"two work", []Subflow{busy, other}, false},
		{"one rests since a moment", []Subflow{rests(leaveFrom-1, nil), busy}, false},
		{"one leaves", []Subflow{rests(leaveFrom, nil), busy}, true},
		{"one is far, and may wait for its turn", []Subflow{rests(leaveFrom, func(s *Subflow) { s.RTT = leaveFrom }), busy}, false},
		{"one leaves, two are left", []Subflow{rests(leaveFrom, nil), busy, other}, false},
		{"one stands by", []Subflow{rests(leaveTo, nil), busy}, false},
		{"one is closed", []Subflow{rests(leaveFrom, func(s *Subflow) { s.State = Close }), busy}, false},
		{"one is silent", []Subflow{rests(leaveFrom, func(s *Subflow) { s.Unacked, s.Timeouts = 9, 1 }), busy}, false},
		{"all rest", []Subflow{rests(leaveFrom, nil)}, false},
	} {
		if got := oneLeaves(c.subflows); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
