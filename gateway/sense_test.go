package gateway

import (
	"net/netip"
	"testing"
	"time"

	"tributary/link"
	"tributary/mptcp"
)

// What waits at the moment of a look counts once, whoever else asks between two looks,
// and however shortly before the next one.
func TestSensesOfAMoment(t *testing.T) {
	dsl := netip.MustParseAddr("10.1.0.2")
	links := []link.Link{{Name: "dsl", Addrs: []netip.Addr{dsl}}}
	var s senses
	known := &followed{}
	sub := mptcp.Subflow{Local: netip.AddrPortFrom(dsl, 40000), NotSent: 1000}
	was := sub
	// came is what the subflows have received, got what of it is in its order.
	sample := func(looking bool, came, got uint64) {
		s.looking = looking
		sub.SegmentsHeard += 5
		s.sense(was, sub)
		was = sub
		s.whole(known, mptcp.Connection{BytesReceived: got, WriteSeq: 5000, SndUna: 1000}, came, 500)
		s.looking = false
	}
	now := time.Unix(1e9, 0)
	for i, c := range []struct {
		others    int
		came, got uint64
		held      uint64
	}{
		{0, 1000, 1000, 0},
		{0, 9000, 3000, 6000},
		{3, 12000, 3000, 9000}, // more comes, and waits for what is missing
		{0, 15000, 15000, 0},
	} {
		for range c.others {
			sample(false, c.came, c.got)
		}
		sample(true, c.came, c.got)
		now = now.Add(time.Second)
		b, _ := s.take(links, now)
		if want := float64(5 * (c.others + 1)); i > 0 && b.Links[0].Sub.Heard != want {
			t.Errorf("look %d: heard %v, want %v", i, b.Links[0].Sub.Heard, want)
		}
		if b.Held != c.held || b.Backlog != 3500 || b.Links[0].Sub.Queued != 1000 {
			t.Errorf("look %d: held %d, backlog %d, queued %d; want %d, 3500, 1000", i, b.Held, b.Backlog, b.Links[0].Sub.Queued, c.held)
		}
	}
}

// What came twice is told from what waits when nothing has come for a while; until then
// it waits, however often somebody looks.
func TestSensesHeld(t *testing.T) {
	s, known := senses{looking: true}, &followed{}
	held := func() uint64 {
		s.held = 0
		s.whole(known, mptcp.Connection{BytesReceived: 3000}, 9000, 0)
		return s.held
	}
	if a, b := held(), held(); a != 6000 || b != 6000 {
		t.Error(a, b)
	}
	known.moved = known.moved.Add(-restSpan)
	if n := held(); n != 0 {
		t.Error(n)
	}
}
