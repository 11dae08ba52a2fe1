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
		well  func(at int) bool
		until int
		want  []int // the seconds in which it is renewed
	}{
		"none lacks it": {
			func(int) lack { return lack{0, 3} }, nil, minutes(10), nil,
		},
		"one lacks it, until it is renewed": {
			func(at int) lack { return map[bool]lack{true: {1, 0}}[at >= 100 && at <= 115] }, nil, minutes(10), []int{115},
		},
		"it joins by itself": {
			func(at int) lack { return map[bool]lack{true: {1, 0}}[at >= 100 && at < 110] }, nil, minutes(10), nil,
		},
		"something is not well for a while": {
			func(int) lack { return lack{1, 0} }, func(at int) bool { return at > 50 }, minutes(2) - 30, []int{70},
		},
		"others have it alone for a while": {
			func(at int) lack { return map[bool]lack{true: {1, 1}, false: {1, 0}}[at < 62] }, nil, minutes(2), []int{65},
		},
		"one after the other lacks it": {
			func(int) lack { return lack{1, 0} }, nil, minutes(16), []int{15, 75, 195, 435, 915},
		},
		"one lacks it every five minutes": {
			func(at int) lack { return map[bool]lack{true: {1, 0}}[at%minutes(5) <= 15] }, nil, minutes(16), []int{15, 315, 615, 915},
		},
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Unix(1000, 0)
			var r rejoin
			var got []int
			for at := 0; at <= c.until; at += 5 {
				if r.due(c.lack(at), c.well == nil || c.well(at), began.Add(time.Duration(at)*time.Second)) {
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
	began := time.Unix(1000, 0)
	for name, c := range map[string]struct {
		known followed
		live  []mptcp.Subflow
		want  lack
	}{
		"both":                   {followed{}, []mptcp.Subflow{sub(dsl, mptcp.Established), sub(over, mptcp.Established)}, lack{}},
		"the other one":          {followed{}, []mptcp.Subflow{sub(dsl, mptcp.Established)}, lack{without: 1}},
		"it is closed":           {followed{}, []mptcp.Subflow{sub(dsl, mptcp.Established), sub(over, mptcp.Close)}, lack{without: 1}},
		"on its way":             {followed{}, []mptcp.Subflow{sub(dsl, mptcp.Established), sub(over, mptcp.SynSent)}, lack{}},
		"it alone":               {followed{}, []mptcp.Subflow{sub(over, mptcp.Established)}, lack{alone: 1}},
		"never looked at":        {followed{}, nil, lack{alone: 1}},
		"plain TCP":              {followed{plain: true}, []mptcp.Subflow{sub(dsl, mptcp.Established)}, lack{}},
		"too young":              {followed{born: began.Add(time.Minute)}, []mptcp.Subflow{sub(dsl, mptcp.Established)}, lack{}},
		"ending":                 {followed{}, []mptcp.Subflow{sub(dsl, mptcp.Established), sub(dsl, mptcp.FinWait1)}, lack{}},
		"renewed in vain":        {followed{renewed: map[string]bool{"lte": true}}, []mptcp.Subflow{sub(dsl, mptcp.Established)}, lack{}},
		"renewed and joined":     {followed{renewed: map[string]bool{"lte": true}}, []mptcp.Subflow{sub(dsl, mptcp.Established), sub(over, mptcp.Established)}, lack{}},
		"of a family of its own": {followed{}, []mptcp.Subflow{sub("2001:db8::1", mptcp.Established)}, lack{}},
		"by its other address":   {followed{}, []mptcp.Subflow{sub(dsl, mptcp.Established), sub("2001:db8::2", mptcp.Established)}, lack{}},
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
			if got := f.lack(lte, began); got != c.want {
				t.Errorf("%+v, want %+v", got, c.want)
			}
			if c.want.without > 0 {
				f.renewed(lte)
				if got := f.lack(lte, began); got != (lack{}) {
					t.Errorf("%+v after it was renewed", got)
				}
			}
			if name == "renewed and joined" && known.renewed["lte"] {
				t.Error("not forgotten")
			}
		})
	}
}

func addrsOf(all ...string) (addrs []netip.Addr) {
	for _, a := range all {
		addrs = append(addrs, netip.MustParseAddr(a))
	}
	return addrs
}
