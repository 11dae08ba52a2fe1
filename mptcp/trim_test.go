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
		if got := sendBuffer(c.subflows, trimRoom); got < c.least || got > c.most {
			t.Errorf("%s: %d, want %d to %d", c.name, got, c.least, c.most)
		}
	}
}

// A path that loses much has room for what is sent again; one that lost some packets a
// while ago has not.
func TestTrimRoom(t *testing.T) {
	var k trimmed
	s := Subflow{ID: 1, State: Established, CWnd: 100, MSS: 1448, RTT: 50 * time.Millisecond, Unacked: 99}
	clean := Subflow{ID: 2, State: Established, CWnd: 100, MSS: 1448, RTT: 50 * time.Millisecond, Unacked: 99}
	looks := func(n int, lost uint32) (room float64) {
		for range n {
			s.SegmentsSent += 200
			s.Retransmits += lost
			clean.SegmentsSent += 500
			room = k.room([]Subflow{s, clean})
		}
		return room
	}
	for _, c := range []struct {
		looks int
		lost  uint32
		want  float64
	}{{20, 0, trimRoom}, {20, 2, trimRoom}, {30, 10, lossyRoom}, {50, 0, trimRoom}, {7, 60, trimRoom}} {
		if got := looks(c.looks, c.lost); got != c.want {
			t.Errorf("%d looks with %d of 200 lost: room %v, want %v", c.looks, c.lost, got, c.want)
		}
	}
	looks(40, 20)
	s.State = Close
	if got := k.room([]Subflow{s, clean}); got != trimRoom {
		t.Errorf("the lossy path is closed: room %v", got)
	}
}

// While BBR looks for the least round trip nothing is known of what a path holds.
func TestPausing(t *testing.T) {
	busy := Subflow{State: Established, CWnd: 230, RTT: 85 * time.Millisecond, Unacked: 223}
	pause, silent, rests := busy, busy, busy
	pause.CWnd, pause.Unacked = 4, 4
	silent.CWnd, silent.Timeouts = 1, 1
	rests.CWnd, rests.Unacked = 4, 0
	for _, c := range []struct {
		name     string
		subflows []Subflow
		want     bool
	}{
		{"busy", []Subflow{busy}, false},
		{"it pauses", []Subflow{pause}, true},
		{"it pauses beside others that do nothing", []Subflow{rests, pause, silent}, true},
		{"one of two pauses", []Subflow{busy, pause}, false},
		{"one is silent, one rests", []Subflow{busy, silent, rests}, false},
	} {
		if got := pausing(c.subflows); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
