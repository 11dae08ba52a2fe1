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
		if got := sendBuffer(c.subflows, 0); got < c.least || got > c.most {
			t.Errorf("%s: %d, want %d to %d", c.name, got, c.least, c.most)
		}
	}
}

// What waits at the receiver needs room besides what the paths hold.
func TestSendBufferEarly(t *testing.T) {
	const held = 230 * 1448
	busy := Subflow{State: Established, CWnd: 230, MSS: 1448, RTT: 85 * time.Millisecond, Unacked: 223}
	waits := Subflow{State: Established, CWnd: 230, MSS: 1448, RTT: 85 * time.Millisecond, LastDataSent: leaveFrom}
	stands := waits
	stands.LastDataSent = leaveTo
	for _, c := range []struct {
		name     string
		subflows []Subflow
		early    float64
		want     float64
	}{
		{"a little", []Subflow{busy}, held / 2, trimRoom * held},
		{"much", []Subflow{busy}, 2 * held, 3 * held},
		{"another is being left", []Subflow{busy, waits}, held / 2, leaveRoom * held},
		{"another waits for it", []Subflow{busy, waits}, 2 * held, 4 * held},
		{"another has stood by for long", []Subflow{busy, stands}, 2 * held, 3 * held},
		{"all rest", []Subflow{waits}, 2 * held, 3 * held},
		{"very much", []Subflow{busy}, 2 * trimMost, trimMost},
	} {
		if got := sendBuffer(c.subflows, c.early); got != int(c.want*trimCost) {
			t.Errorf("%s: %d, want %d", c.name, got, int(c.want*trimCost))
		}
	}
}

// What was sent, is not acknowledged as a whole, and is under way no more has come early;
// but nothing has while a path may be dead.
func TestEarly(t *testing.T) {
	slow := Subflow{State: Established, MSS: 1000, RTT: 40 * time.Millisecond, Unacked: 20, NotSent: 80_000, LastAckRecv: heardLately}
	quick := Subflow{State: Established, MSS: 1000, RTT: 20 * time.Millisecond, LastAckRecv: time.Second} // owes nothing
	with := func(change func(*Subflow)) Subflow {
		s := slow
		change(&s)
		return s
	}
	for _, c := range []struct {
		name string
		slow Subflow
		want float64
	}{
		{"one is slow", slow, 400_000},
		{"its answer is late", with(func(s *Subflow) { s.LastAckRecv++ }), 0},
		{"it takes that long", with(func(s *Subflow) { s.LastAckRecv, s.RTT = 300*time.Millisecond, 300*time.Millisecond }), 400_000},
		{"it sends again", with(func(s *Subflow) { s.Timeouts = 1 }), 0},
		{"it is closed", with(func(s *Subflow) { s.State, s.Timeouts = Close, 1 }), 500_000},
		{"it holds all", with(func(s *Subflow) { s.NotSent = 600_000 }), 0},
	} {
		f := Full{Connection: Connection{BytesSent: 900_000, BytesAcked: 400_000}, Subflows: []Subflow{quick, c.slow}}
		if got := early(f); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// While BBR looks for the least round trip nothing is known of what a path holds; that
// it has to end.
func TestTrimmedKeeps(t *testing.T) {
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
		{"one of two pauses", []Subflow{busy, pause}, true},
		{"one is silent, one rests", []Subflow{busy, silent, rests}, false},
	} {
		k := &trimmed{}
		for look := range 2 * pauseLooks {
			if got := k.keeps(c.subflows); got != (c.want && look < pauseLooks) {
				t.Errorf("%s: look %d: %v", c.name, look, got)
			}
		}
		if k.keeps([]Subflow{busy}); !k.keeps([]Subflow{pause}) {
			t.Errorf("%s: the next pause is none", c.name)
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
