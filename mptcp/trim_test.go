package mptcp

import (
	"testing"
	"time"
)

// The buffer holds what all busy subflows have under way while the slowest of them
// takes a round trip, and half as much again.
func TestSendBuffer(t *testing.T) {
	dsl := Subflow{State: Established, CWnd: 230, MSS: 1448, RTT: 85 * time.Millisecond, Unacked: 223}
	lte := Subflow{State: Established, CWnd: 250, MSS: 1448, RTT: 146 * time.Millisecond, Unacked: 249}
	with := func(s Subflow, change func(*Subflow)) Subflow {
		change(&s)
		return s
	}
	silent := with(lte, func(s *Subflow) { s.CWnd, s.Timeouts = 1, 2 })
	standby := with(lte, func(s *Subflow) { s.Unacked = 0 })
	closed := with(lte, func(s *Subflow) { s.State = Close })
	alone := int(trimRoom * trimCost * 230 * 1448)
	for _, c := range []struct {
		name     string
		subflows []Subflow
		least    int
		most     int
	}{
		{"one", []Subflow{dsl}, alone - 1, alone + 1},
		{"two: as long as the longer round trip", []Subflow{dsl, lte}, 1_500_000, 1_560_000},
		{"the other is silent", []Subflow{dsl, silent}, alone - 1, alone + 1},
		{"the other stands by", []Subflow{standby, dsl}, alone - 1, alone + 1},
		{"the other is closed", []Subflow{closed, dsl}, alone - 1, alone + 1},
		{"slow and short", []Subflow{with(dsl, func(s *Subflow) { s.CWnd = 10 })}, trimLeast, trimLeast * 2},
		{"nothing known", nil, trimLeast, trimLeast * 2},
	} {
		if got := sendBuffer(c.subflows); got < c.least || got > c.most {
			t.Errorf("%s: %d, want %d to %d", c.name, got, c.least, c.most)
		}
	}
}
