package mptcp

import (
	"testing"
	"time"
)

// The buffer is short from when a path has come to rest until its subflow should have
// ended, where one path is left.
func TestTrimRoomOneLeaves(t *testing.T) {
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
		want     float64
	}{
		{"one", []Subflow{busy}, trimRoom},
		{"two work", []Subflow{busy, other}, trimRoom},
		{"one rests since a moment", []Subflow{rests(leaveFrom-1, nil), busy}, trimRoom},
		{"one leaves", []Subflow{rests(leaveFrom, nil), busy}, leaveRoom},
		{"one is far, and may wait for its turn", []Subflow{rests(leaveFrom, func(s *Subflow) { s.RTT = leaveFrom }), busy}, trimRoom},
		{"one leaves, two are left", []Subflow{rests(leaveFrom, nil), busy, other}, trimRoom},
		{"one stands by", []Subflow{rests(leaveTo, nil), busy}, trimRoom},
		{"one is closed", []Subflow{rests(leaveFrom, func(s *Subflow) { s.State = Close }), busy}, trimRoom},
		{"one is silent", []Subflow{rests(leaveFrom, func(s *Subflow) { s.Unacked, s.Timeouts = 9, 1 }), busy}, trimRoom},
		{"all rest", []Subflow{rests(leaveFrom, nil)}, trimRoom},
	} {
		if got := (&trimmed{}).room(c.subflows); got != c.want {
			t.Errorf("%s: room %v, want %v", c.name, got, c.want)
		}
	}
}

// A connection is looked at often while it sends, and while what it has sent arrives.
func TestTrimmedMuch(t *testing.T) {
	k := &trimmed{}
	for i, c := range []struct {
		sent, acked uint64
		want        bool
	}{
		{muchSent - 1, 0, false}, {2*muchSent - 1, 0, true}, {2*muchSent - 1, muchSent, true}, {2*muchSent - 1, 2*muchSent - 1, false},
	} {
		if got := k.much(Connection{BytesSent: c.sent, BytesAcked: c.acked}); got != c.want {
			t.Errorf("look %d: %v, want %v", i, got, c.want)
		}
	}
}
