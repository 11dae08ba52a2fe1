package gateway

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"tributary/link"
	"tributary/mptcp"
)

// Connections that lack a link have it renewed once all has been well for a while, nobody
// has it alone, and not again soon.
func TestRejoin(t *testing.T) {
	minutes := func(n int) int { return n * 60 }
	for name, c := range map[string]struct {
		lack  func(at int) lack // by the second
		calm  func(at int) bool
		until int
		want  []int // the seconds in which it is renewed
	}{
		"none lacks it": {
			func(int) lack { return lack{0, 3} }, nil, minutes(10), nil,
		},
		"one lacks it, until it is renewed": {
			func(at int) lack { return map[bool]lack{true: {1, 0}}[at == 100] }, nil, minutes(10), []int{100},
		},
		"a link is silent for a while": {
			func(int) lack { return lack{1, 0} }, func(at int) bool { return at > 50 }, minutes(1), []int{54},
		},
		"links are silent in turn": {
			func(int) lack { return lack{1, 0} }, func(at int) bool { return at%4 != 0 }, minutes(3), nil,
		},
		"others have it alone for a while": {
			func(at int) lack { return map[bool]lack{true: {1, 1}, false: {1, 0}}[at < 62] }, nil, minutes(2), []int{62},
		},
		"one after the other lacks it": {
			func(int) lack { return lack{1, 0} }, nil, minutes(16), []int{4, 64, 184, 424, 904},
		},
		"one lacks it every five minutes": {
			func(at int) lack { return map[bool]lack{true: {1, 0}}[at%minutes(5) == 15] }, nil, minutes(16), []int{15, 315, 615, 915},
		},
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Unix(1000, 0)
			var r rejoin
			var got []int
			for at := 0; at <= c.until; at++ {
				if r.due(c.lack(at), c.calm == nil || c.calm(at), began.Add(time.Duration(at)*time.Second)) {
					got = append(got, at)
				}
			}
			if len(got) != len(c.want) {
				t.Fatalf("renewed at %v s, want %v", got, c.want)
			}
			for i := range got {
				if got[i] != c.want[i] {
					t.Errorf("renewed at %v s, want %v", got, c.want)
				}
			}
		})
	}
}

func TestLack(t *testing.T) {
	lte := link.Link{Name: "lte", Addrs: addrsOf("10.2.0.1", "2001:db8::2"), Joins: addrsOf("10.2.0.1")}
	sub := func(local string, s mptcp.State) mptcp.Subflow {
		remote := "192.0.2.1:443"
		if a := netip.MustParseAddr(local); a.Is6() {
			remote = "[2001:db8:f::1]:443"
		}
		return mptcp.Subflow{Local: netip.AddrPortFrom(netip.MustParseAddr(local), 1), Remote: netip.MustParseAddrPort(remote), State: s}
	}
	const dsl, over = "10.1.0.1", "10.2.0.1"
	now := time.Unix(1000, 0)
	since := func(s int) map[string]time.Time {
		return map[string]time.Time{"lte": now.Add(-time.Duration(s) * time.Second)}
	}
	for name, c := range map[string]struct {
		known followed
		live  []mptcp.Subflow
		want  lack
	}{
		"both":                   {followed{without: since(15)}, []mptcp.Subflow{sub(dsl, mptcp.Established), sub(over, mptcp.Established)}, lack{}},
		"the other one":          {followed{without: since(15)}, []mptcp.Subflow{sub(dsl, mptcp.Established)}, lack{without: 1}},
		"it is closed":           {followed{without: since(15)}, []mptcp.Subflow{sub(dsl, mptcp.Established), sub(over, mptcp.Close)}, lack{without: 1}},
		"on its way":             {followed{without: since(15)}, []mptcp.Subflow{sub(dsl, mptcp.Established), sub(over, mptcp.SynSent)}, lack{}},
		"it alone":               {followed{without: since(15)}, []mptcp.Subflow{sub(over, mptcp.Established)}, lack{alone: 1}},
		"never looked at":        {followed{without: since(15)}, nil, lack{alone: 1}},
		"plain TCP":              {followed{plain: true, without: since(15)}, []mptcp.Subflow{sub(dsl, mptcp.Established)}, lack{}},
		"not for long":           {followed{without: since(14)}, []mptcp.Subflow{sub(dsl, mptcp.Established)}, lack{}},
		"ending":                 {followed{without: since(15)}, []mptcp.Subflow{sub(dsl, mptcp.Established), sub(dsl, mptcp.FinWait1)}, lack{}},
		"renewed in vain":        {followed{without: map[string]time.Time{"lte": {}}}, []mptcp.Subflow{sub(dsl, mptcp.Established)}, lack{}},
		"renewed and joined":     {followed{without: map[string]time.Time{"lte": {}}}, []mptcp.Subflow{sub(dsl, mptcp.Established), sub(over, mptcp.Established)}, lack{}},
		"of a family of its own": {followed{without: since(15)}, []mptcp.Subflow{sub("2001:db8::1", mptcp.Established)}, lack{}},
		"by its other address":   {followed{without: since(15)}, []mptcp.Subflow{sub(dsl, mptcp.Established), sub("2001:db8::2", mptcp.Established)}, lack{}},
	} {
		t.Run(name, func(t *testing.T) {
			known := c.known
			known.live = map[subflowKey]mptcp.Subflow{}
			for _, s := range c.live {
				key := subflowKey{s.Local, s.Remote}
				if _, both := known.live[key]; both {
					key.local = netip.AddrPortFrom(s.Local.Addr(), 2)
				}
				known.live[key] = s
			}
			f := newFlows()
			f.conns[&net.TCPConn{}] = &known
			if got := f.lack(lte, true, now); got != c.want {
				t.Errorf("%+v, want %+v", got, c.want)
			}
			later := now.Add(rejoinAfter)
			f.renewed(lte)
			if got := f.lack(lte, true, later); got.without > 0 {
				t.Errorf("%+v after it was renewed", got)
			}
			f.lack(lte, false, later)
			if len(known.without) > 0 {
				t.Error("it lacks a link that is away")
			}
		})
	}
}

// A connection that lacks a link counts from the first look on, and anew once it had it.
func TestLackAgain(t *testing.T) {
	lte := link.Link{Name: "lte", Addrs: addrsOf("10.2.0.1"), Joins: addrsOf("10.2.0.1")}
	remote := netip.MustParseAddrPort("192.0.2.1:443")
	dsl := mptcp.Subflow{Local: netip.MustParseAddrPort("10.1.0.1:1"), Remote: remote, State: mptcp.Established}
	over := mptcp.Subflow{Local: netip.MustParseAddrPort("10.2.0.1:1"), Remote: remote, State: mptcp.Established}
	only := map[subflowKey]mptcp.Subflow{{local: dsl.Local}: dsl}
	both := map[subflowKey]mptcp.Subflow{{local: dsl.Local}: dsl, {local: over.Local}: over}
	known := &followed{}
	f := newFlows()
	f.conns[&net.TCPConn{}] = known
	began := time.Unix(1000, 0)
	for at := range 60 {
		known.live = only
		if at == 10 || at == 40 {
			known.live = both
		}
		if at == 30 {
			f.renewed(lte)
		}
		want := lack{}
		if at >= 11+15 && at < 30 || at >= 41+15 {
			want.without = 1
		}
		if got := f.lack(lte, true, began.Add(time.Duration(at)*time.Second)); got != want {
			t.Errorf("%d s: %+v, want %+v", at, got, want)
		}
	}
}

func addrsOf(all ...string) (addrs []netip.Addr) {
	for _, a := range all {
		addrs = append(addrs, netip.MustParseAddr(a))
	}
	return addrs
}
