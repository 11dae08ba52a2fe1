package gateway

import (
	"maps"
	"net"
	"net/netip"
	"testing"
	"time"

	"tributary/bundle"
	"tributary/link"
	"tributary/mptcp"
)

func TestLacks(t *testing.T) {
	lte := link.Link{Name: "lte", Addrs: addrsOf("10.2.0.1", "2001:db8::2"), Joins: addrsOf("10.2.0.1")}
	six := link.Link{Name: "lte", Addrs: addrsOf("2001:db8::2"), Joins: addrsOf("2001:db8::2")}
	sub := func(local string, s mptcp.State) mptcp.Subflow {
		remote := "192.0.2.1:443"
		if a := netip.MustParseAddr(local); a.Is6() {
			remote = "[2001:db8:f::1]:443"
		}
		return mptcp.Subflow{Local: netip.AddrPortFrom(netip.MustParseAddr(local), 1), Remote: netip.MustParseAddrPort(remote), State: s}
	}
	const dsl, dsl6, over, over6 = "10.1.0.1", "2001:db8::1", "10.2.0.1", "2001:db8::2"
	now := time.Unix(1000, 0)
	for name, c := range map[string]struct {
		known followed
		since int // seconds, that it has lacked it
		live  []mptcp.Subflow
		link  link.Link
		want  bundle.Lack
	}{
		"both":                           {since: 15, live: []mptcp.Subflow{sub(dsl, mptcp.Established), sub(over, mptcp.Established)}, link: lte},
		"the other one":                  {since: 15, live: []mptcp.Subflow{sub(dsl, mptcp.Established)}, link: lte, want: bundle.Lack{Without: 1}},
		"not for long":                   {since: 14, live: []mptcp.Subflow{sub(dsl, mptcp.Established)}, link: lte},
		"it is closed":                   {since: 15, live: []mptcp.Subflow{sub(dsl, mptcp.Established), sub(over, mptcp.Close)}, link: lte, want: bundle.Lack{Without: 1}},
		"it is ending":                   {since: 15, live: []mptcp.Subflow{sub(dsl, mptcp.Established), sub(over, mptcp.FinWait1)}, link: lte, want: bundle.Lack{Without: 1}},
		"on its way":                     {since: 15, live: []mptcp.Subflow{sub(dsl, mptcp.Established), sub(over, mptcp.SynSent)}, link: lte},
		"it alone":                       {since: 15, live: []mptcp.Subflow{sub(over, mptcp.Established)}, link: lte, want: bundle.Lack{Alone: 1}},
		"never looked at":                {since: 15, link: lte, want: bundle.Lack{Alone: 1}},
		"without any":                    {known: followed{reach: cut}, since: 15, link: lte},
		"plain TCP":                      {known: followed{plain: true}, since: 15, live: []mptcp.Subflow{sub(dsl, mptcp.Established)}, link: lte},
		"ending":                         {since: 15, live: []mptcp.Subflow{sub(dsl, mptcp.FinWait1)}, link: lte},
		"renewed":                        {since: -3600, live: []mptcp.Subflow{sub(dsl, mptcp.Established)}, link: lte},
		"another family":                 {since: 15, live: []mptcp.Subflow{sub(dsl6, mptcp.Established)}, link: lte},
		"its other family":               {since: 15, live: []mptcp.Subflow{sub(dsl, mptcp.Established), sub(over6, mptcp.Established)}, link: lte},
		"announced, alone of its family": {since: 15, live: []mptcp.Subflow{sub(dsl, mptcp.Established), sub(over6, mptcp.Established)}, link: six, want: bundle.Lack{Alone: 1}},
		"over a link that is away":       {since: 15, live: []mptcp.Subflow{sub("10.3.0.1", mptcp.Established)}, link: lte, want: bundle.Lack{Without: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			known := c.known
			known.without = map[string]time.Time{"lte": now.Add(-time.Duration(c.since) * time.Second), "gone": now}
			known.live = map[subflowKey]mptcp.Subflow{}
			for _, s := range c.live {
				known.live[subflowKey{s.Local, s.Remote}] = s
			}
			f := newFlows()
			f.conns[&net.TCPConn{}] = &known
			links := []link.Link{{Name: "dsl", Addrs: addrsOf(dsl, dsl6), Joins: addrsOf(dsl)}, c.link}
			if got := f.lacks(links, now)["lte"]; got != c.want {
				t.Errorf("%+v, want %+v", got, c.want)
			}
			if _, ok := known.without["gone"]; ok {
				t.Error("it lacks a link that is no more")
			}
		})
	}
}

// A connection that lacks a link counts from the first look on, anew once it had it, and
// long after a renewal that did not help.
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
	for at := range 4000 {
		now := began.Add(time.Duration(at) * time.Second)
		known.live = only
		if at == 10 || at == 40 {
			known.live = both
		}
		if at == 30 || at == 70 {
			f.renewed("lte", now)
		}
		links := []link.Link{lte}
		if at == 3900 {
			links = nil // it is away for a moment
		}
		want := map[string]bundle.Lack{"lte": {}}
		if at >= 11+15 && at < 30 || at >= 41+15 && at < 70 || at >= 70+3600+15 && at < 3900 || at >= 3901+15 {
			want["lte"] = bundle.Lack{Without: 1}
		}
		if links == nil {
			want = map[string]bundle.Lack{}
		}
		if got := f.lacks(links, now); !maps.Equal(got, want) {
			t.Fatalf("%d s: %+v, want %+v", at, got, want)
		}
	}
}

func addrsOf(all ...string) (addrs []netip.Addr) {
	for _, a := range all {
		addrs = append(addrs, netip.MustParseAddr(a))
	}
	return addrs
}
