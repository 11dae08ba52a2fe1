package gateway

import (
	"maps"
	"net"
	"net/netip"
	"testing"
	"time"

	"tributary/link"
	"tributary/mptcp"
)

// Rates are those since the last mark but one, over subflows that live and have
// ended; an address without a mark began at nothing.
func TestRates(t *testing.T) {
	dsl, lte, usb := netip.MustParseAddr("10.1.0.2"), netip.MustParseAddr("10.2.0.2"), netip.MustParseAddr("10.3.0.2")
	f := newFlows()
	socket := &net.TCPConn{}
	live := map[subflowKey]mptcp.Subflow{}
	f.conns[socket] = &followed{live: live}
	carry := func(a netip.Addr, up, down uint64) {
		local := netip.AddrPortFrom(a, 40000)
		live[subflowKey{local: local}] = mptcp.Subflow{Local: local, BytesAcked: up, BytesReceived: down}
	}
	now := time.Unix(1e9, 0)
	rates := func() map[netip.Addr][2]float64 {
		all := map[netip.Addr]traffic{}
		for a, tr := range f.past {
			all[a] = tr
		}
		for _, s := range live {
			tr := all[s.Local.Addr()]
			tr.add(s)
			all[s.Local.Addr()] = tr
		}
		f.rate(all, now)
		got := map[netip.Addr][2]float64{}
		for a, tr := range all {
			got[a] = [2]float64{tr.upRate, tr.downRate}
		}
		return got
	}
	carry(dsl, 1000, 5000)
	f.past[lte] = traffic{up: 70, down: 700}
	if got := rates()[dsl]; got != [2]float64{} {
		t.Errorf("before any mark: %v", got)
	}
	f.mark(now)
	now = now.Add(time.Second)
	carry(dsl, 2000, 9000)
	f.mark(now)
	now = now.Add(time.Second)
	carry(dsl, 3000, 15000)
	carry(usb, 10, 20)
	f.past[lte] = traffic{up: 71, down: 704}
	got := rates()
	if got[dsl] != [2]float64{1000, 5000} || got[lte] != [2]float64{0.5, 2} || got[usb] != [2]float64{5, 10} {
		t.Errorf("after two seconds: %v", got)
	}
	f.mark(now)
	now = now.Add(time.Second)
	f.mark(now)
	now = now.Add(time.Second)
	f.mark(now)
	if got := rates()[dsl]; got != [2]float64{} {
		t.Errorf("at rest: %v", got)
	}

	// What is carried before a session is none of its own.
	f.rest(&relayConn{socket: socket})
	if base := f.baseOf(socket); base[subflowKey{local: netip.AddrPortFrom(dsl, 40000)}] != (volume{3000, 15000}) {
		t.Errorf("base %v", base)
	}
	f.rest(&relayConn{})
	if base := f.baseOf(nil); base != nil {
		t.Errorf("base %v of no connection", base)
	}
}

func TestShare(t *testing.T) {
	s := Status{Links: []LinkStatus{{RateUp: 1, RateDown: 2}, {}, {RateDown: 9}}}
	s.share()
	if s.Links[0].Share != 0.25 || s.Links[1].Share != 0 || s.Links[2].Share != 0.75 {
		t.Errorf("%+v", s.Links)
	}
	s = Status{Links: []LinkStatus{{}}}
	if s.share(); s.Links[0].Share != 0 {
		t.Errorf("at rest %v", s.Links[0].Share)
	}
}

// What a link has carried stays its own when it loses the address.
// A modem that gets another address with each call leaves no trace but its sum.
func TestManyAddresses(t *testing.T) {
	f, o := newFlows(), &owners{}
	now, open := netip.MustParseAddr("10.1.255.1"), netip.MustParseAddr("10.1.255.2")
	others := netip.MustParseAddr("10.9.9.9")
	for n := range 200 {
		a := netip.AddrFrom4([4]byte{10, 1, byte(n), 1})
		o.note([]link.Link{{Name: "lte", Addrs: []netip.Addr{a}}})
		f.past[a], f.least[a] = traffic{up: 1, down: 10, retrans: 2}, time.Millisecond
	}
	links := []link.Link{{Name: "lte", Addrs: []netip.Addr{now}}}
	o.note([]link.Link{{Name: "lte", Addrs: []netip.Addr{open}}})
	o.note(links)
	f.past[others] = traffic{up: 7}
	local := netip.AddrPortFrom(open, 40000)
	f.conns[&net.TCPConn{}] = &followed{live: map[subflowKey]mptcp.Subflow{{local: local}: {Local: local, BytesAcked: 5}}}
	f.past[open] = traffic{up: 3}
	at := time.Unix(1e9, 0)
	f.mark(at)
	f.mark(at.Add(time.Second))
	f.fold(links, o)
	if len(f.past) != 3 || len(f.least) != 0 || len(o.of) != 2 {
		t.Errorf("%d addresses, %d round trips, %d owners are remembered", len(f.past), len(f.least), len(o.of))
	}
	all := maps.Clone(f.past)
	f.rate(all, at.Add(2*time.Second))
	if got := o.sum("lte", all); got != (traffic{up: 203, down: 2000, retrans: 400}) {
		t.Errorf("lte has %+v", got)
	}
}

func TestOwners(t *testing.T) {
	a, b, c := netip.MustParseAddr("10.1.0.2"), netip.MustParseAddr("10.1.0.3"), netip.MustParseAddr("10.2.0.2")
	early, late := time.Unix(1e9, 0), time.Unix(2e9, 0)
	by := map[netip.Addr]traffic{
		a: {up: 1, down: 10, retrans: 100, upRate: 1, downRate: 2, rtt: 7, heard: late},
		b: {up: 2, down: 20, retrans: 200, upRate: 3, downRate: 4, rtt: 8, heard: early},
		c: {up: 4, down: 40},
	}
	var o owners
	if got := o.sum("dsl", by); got != (traffic{}) {
		t.Errorf("nobody's: %+v", got)
	}
	o.note([]link.Link{{Name: "dsl", Addrs: []netip.Addr{a}}, {Name: "lte", Addrs: []netip.Addr{c}}})
	o.note([]link.Link{{Name: "dsl", Addrs: []netip.Addr{b}}, {Name: "lte"}})
	if got, want := o.sum("dsl", by), (traffic{up: 3, down: 30, retrans: 300, upRate: 4, downRate: 6, rtt: 7, heard: late}); got != want {
		t.Errorf("dsl: %+v, want %+v", got, want)
	}
	if got := o.sum("lte", by); got.up != 4 || got.down != 40 {
		t.Errorf("lte: %+v", got)
	}
}
