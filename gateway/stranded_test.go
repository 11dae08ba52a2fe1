package gateway

import (
	"net/netip"
	"testing"
	"time"

	"tributary/mptcp"
)

// A connection without a subflow is ended when others have heard the relay for long
// enough, and never for an outage of all links.
func TestStrand(t *testing.T) {
	const never = -1
	for name, c := range map[string]struct {
		every time.Duration      // between looks
		state func(at int) reach // by the second
		heard func(at int) bool  // whether others hear the relay
		want  int                // the second in which it is ended
	}{
		"it has one": {
			time.Second, func(int) reach { return reached }, func(int) bool { return true }, never,
		},
		"it has none": {
			time.Second, func(int) reach { return cut }, func(int) bool { return true }, 10,
		},
		"looks are often": {
			100 * time.Millisecond, func(int) reach { return cut }, func(int) bool { return true }, 10,
		},
		"it loses its last one later": {
			time.Second, func(at int) reach { return map[bool]reach{false: reached, true: cut}[at >= 30] }, func(int) bool { return true }, 40,
		},
		"nobody hears the relay for 4 minutes, and it joins soon after": {
			time.Second, func(at int) reach { return map[bool]reach{false: cut, true: reached}[at >= 245] }, func(at int) bool { return at > 240 }, never,
		},
		"nobody hears the relay for 4 minutes, and it does not join": {
			time.Second, func(int) reach { return cut }, func(at int) bool { return at > 240 }, 250,
		},
		"the links come and go": {
			time.Second, func(int) reach { return cut }, func(at int) bool { return at%4 < 2 }, 20,
		},
		"a join is on its way for a while": {
			time.Second, func(at int) reach { return map[bool]reach{false: joining, true: cut}[at >= 20] }, func(int) bool { return true }, 29,
		},
		"it comes back again and again": {
			time.Second, func(at int) reach { return map[bool]reach{false: cut, true: reached}[at%9 == 0] }, func(int) bool { return true }, never,
		},
		"looks are rare": { // of each only the last moment is known
			30 * time.Second, func(int) reach { return cut }, func(int) bool { return true }, 150,
		},
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Unix(1000, 0)
			var s strand
			var heard time.Time
			got := never
			for at := time.Duration(0); at <= 5*time.Minute && got == never; at += c.every {
				now, second := began.Add(at), int(at/time.Second)
				if c.heard(second) {
					heard = now
				}
				if s.note(c.state(second), now, heard) {
					got = second
				}
			}
			if got != c.want {
				t.Errorf("ended at %d s, want %d", got, c.want)
			}
		})
	}
}

func TestReachOf(t *testing.T) {
	sub := func(s mptcp.State) mptcp.Subflow {
		return mptcp.Subflow{Local: netip.MustParseAddrPort("10.1.0.1:1"), State: s}
	}
	gone := mptcp.Subflow{Local: netip.AddrPortFrom(netip.IPv4Unspecified(), 0), State: mptcp.Established}
	const closeWait = 8
	for name, c := range map[string]struct {
		full mptcp.Full
		want reach
	}{
		"one":                     {mptcp.Full{Subflows: []mptcp.Subflow{sub(mptcp.Established)}}, reached},
		"one that can still send": {mptcp.Full{Subflows: []mptcp.Subflow{sub(closeWait)}}, reached},
		"none":                    {mptcp.Full{}, cut},
		"the first one, closed":   {mptcp.Full{Subflows: []mptcp.Subflow{sub(mptcp.Close)}}, cut},
		"one that is forgotten":   {mptcp.Full{Subflows: []mptcp.Subflow{gone}}, cut},
		"one on its way":          {mptcp.Full{Subflows: []mptcp.Subflow{sub(mptcp.Close), sub(mptcp.SynSent)}}, joining},
		"one, and one on its way": {mptcp.Full{Subflows: []mptcp.Subflow{sub(mptcp.SynSent), sub(mptcp.Established)}}, reached},
		"plain TCP, readdressed": {mptcp.Full{Connection: mptcp.Connection{Fallback: true}, Subflows: []mptcp.Subflow{
			{Local: netip.MustParseAddrPort("10.1.0.3:1"), State: mptcp.Established},
		}}, cut},
		"plain TCP":                {mptcp.Full{Connection: mptcp.Connection{Fallback: true}, Subflows: []mptcp.Subflow{sub(mptcp.Established)}}, reached},
		"plain TCP that has ended": {mptcp.Full{Connection: mptcp.Connection{Fallback: true}, Subflows: []mptcp.Subflow{sub(mptcp.Close)}}, reached},
	} {
		if got := reachOf(c.full, func(a netip.Addr) bool { return a != netip.MustParseAddr("10.1.0.3") }); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// A warm connection that has lost its last subflow leaves the pool, although no link has
// changed.
func TestWarmConnectionWithoutASubflow(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		var lost *relayConn
		have := 2
		w.pool.subflows = func(c *relayConn) (int, int) {
			if c == lost {
				return 0, 2
			}
			return have, 2
		}
		w.fill(t)
		have = 1 // nor can any have all: that alone replaces few
		w.pool.check(w.pool.subflows)
		w.pool.mu.Lock()
		lost = w.pool.idle[poolFloor-1].relayConn
		w.pool.mu.Unlock()
		time.Sleep(4 * lookEvery)
		w.pool.each(func(c *relayConn) {
			if c == lost {
				t.Error("it is still there")
			}
		})
	})
}
