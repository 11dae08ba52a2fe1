package gateway

import (
	"context"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"tributary/mptcp"
)

func TestAils(t *testing.T) {
	const ms = time.Millisecond
	healthy := mptcp.Subflow{State: mptcp.Established, RTT: 60 * ms, MinRTT: 40 * ms, BytesSent: 1_000_000, BytesRetrans: 40_000, Unacked: 10}
	for name, c := range map[string]struct {
		change func(s *mptcp.Subflow)
		want   bool
	}{
		"nothing has changed":               {func(s *mptcp.Subflow) {}, false},
		"it sends":                          {func(s *mptcp.Subflow) { s.BytesSent += 100_000 }, false},
		"a full queue drops some":           {func(s *mptcp.Subflow) { s.BytesSent += 100_000; s.BytesRetrans += 4_000 }, false},
		"one in ten is lost":                {func(s *mptcp.Subflow) { s.BytesSent += 100_000; s.BytesRetrans += 10_000 }, true},
		"one of few is lost":                {func(s *mptcp.Subflow) { s.BytesSent += 6_000; s.BytesRetrans += 1_500 }, false},
		"nobody acknowledges":               {func(s *mptcp.Subflow) { s.Timeouts = 1 }, true},
		"a queue of 100 ms is full":         {func(s *mptcp.Subflow) { s.RTT = 150 * ms }, false},
		"a queue of 1 s is full":            {func(s *mptcp.Subflow) { s.RTT = 1000 * ms }, true},
		"long ago, a queue of 1 s was full": {func(s *mptcp.Subflow) { s.RTT, s.Unacked = 1000*ms, 0 }, false},
		"it is over":                        {func(s *mptcp.Subflow) { s.Timeouts, s.State = 1, mptcp.Close }, false},
	} {
		now := healthy
		c.change(&now)
		if got := ails(healthy, now); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	if ails(mptcp.Subflow{}, healthy) {
		t.Error("the first look finds fault with a healthy one")
	}
}

func TestDoubtPasses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d doubts
		a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
		links := []source{{link: "a", addr: a}, {link: "b", addr: b}}
		d.cast(a, doubtTime)
		d.cast(a, hedgeTime) // takes nothing back
		time.Sleep(doubtTime - time.Nanosecond)
		if !d.about(a) || d.about(b) || !d.any(links) {
			t.Error("doubt is gone early, or about the wrong link")
		}
		time.Sleep(time.Nanosecond)
		if d.about(a) || d.any(links) {
			t.Error("doubt does not pass")
		}
		d.cast(b, hedgeTime)
		if len(d.until) != 1 {
			t.Error("what has passed is kept")
		}
	})
}

// What was merely late does not keep connections from starting there.
func TestAvoidIsMoreThanDoubt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d doubts
		a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
		d.cast(a, hedgeTime)
		d.avoid(b, hedgeTime)
		if !d.about(a) || d.avoided(a) || !d.about(b) || !d.avoided(b) {
			t.Error("what was late is avoided, or what is bad is not")
		}
		time.Sleep(hedgeTime)
		if d.about(b) || d.avoided(b) {
			t.Error("it does not pass")
		}
	})
}

// A request that waits begins elsewhere on the slightest doubt; a connection for
// the pool, which would stay there, does not.
func TestWhoWaitsIsWary(t *testing.T) {
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("198.51.100.1")
	for wary, want := range map[bool]netip.Addr{false: a, true: b} {
		var first atomic.Pointer[netip.Addr]
		u := &upstream{
			sources: func(bool) []source { return []source{{link: "a", addr: a}, {link: "b", addr: b}} },
			dial: func(_ context.Context, from netip.Addr, _ netip.AddrPort) (net.Conn, error) {
				first.CompareAndSwap(nil, &from)
				return nil, syscall.ECONNREFUSED
			},
		}
		u.doubts.cast(a, time.Hour)
		u.race(t.Context(), []netip.Addr{a}, 1, wary)
		if got := *first.Load(); got != want {
			t.Errorf("wary %v: began over %v", wary, got)
		}
	}
}

// A link that is asked about costs only the connections that may use it.
func TestWhoMayUseALink(t *testing.T) {
	dsl, lte := netip.MustParseAddr("10.1.0.2"), netip.MustParseAddr("10.2.0.2")
	local := netip.AddrPortFrom(dsl, 40000)
	f := &followed{live: map[subflowKey]mptcp.Subflow{{local: local}: {Local: local}}}
	if !f.uses([]netip.Addr{lte, dsl}) || f.uses([]netip.Addr{lte}) || f.uses(nil) {
		t.Error("a connection that was looked at counts by its subflows")
	}
	if !(&followed{}).uses([]netip.Addr{lte}) {
		t.Error("one that nobody has looked at yet may use any link")
	}
}
