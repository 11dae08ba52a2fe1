package link

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// dev makes an interface that is up. An address is "192.168.1.2/24", or
// "10.0.0.1/32>10.0.0.2/32" with a peer.
func dev(index int, name string, addrs ...string) device {
	d := device{index: index, name: name, up: true, carrier: true}
	for _, s := range addrs {
		own, on, peer := strings.Cut(s, ">")
		p := netip.MustParsePrefix(own)
		if !peer {
			on = own
		}
		d.addrs = append(d.addrs, address{addr: p.Addr(), net: netip.MustParsePrefix(on).Masked()})
	}
	return d
}

// via makes a default route; gw "" is one without a gateway.
func via(index int, gw string, metric int) nextHop {
	h := nextHop{index: index, metric: metric}
	if gw != "" {
		h.gateway = netip.MustParseAddr(gw)
		h.ipv6 = h.gateway.Is6()
	}
	return h
}

func stockSysctls() map[string]string {
	return map[string]string{
		pathBlackhole: "3600", pathSynRetrans: "2", pathClose: "60",
		pathRmem: "4096\t131072\t6291456", pathWmem: "4096\t16384\t4194304", pathUnsent: "4294967295",
		pathFilter("all"): "0", pathFilter("eth1"): "0", pathFilter("wwan0"): "1",
	}
}

func home() *observed {
	return &observed{
		devices: []device{
			{index: 1, name: "lo", up: true, carrier: true, loopback: true},
			dev(2, "br-lan", "192.168.100.1/24"),
			dev(3, "eth1", "192.168.1.2/24"),
			dev(4, "wwan0", "100.64.3.9/29"),
		},
		defaults: []nextHop{via(3, "192.168.1.1", 100), via(4, "100.64.3.10", 700)},
		limits:   limits{2, 0}, base: limits{2, 0},
		sysctls: stockSysctls(),
	}
}

func good() map[string]string {
	return map[string]string{pathBlackhole: "0", pathSynRetrans: "32", pathClose: "300"}
}

func TestPlanText(t *testing.T) {
	for _, test := range []struct {
		name   string
		wanted string
		o      *observed
		want   string
	}{
		{"two links found, settings of a fresh namespace", "", home(), `
			sysctl -w net.mptcp.blackhole_timeout=0
			sysctl -w net.mptcp.syn_retrans_before_tcp_fallback=32
			sysctl -w net.mptcp.close_timeout=300
			sysctl -w net.ipv4.tcp_rmem="4096 1048576 16777216"
			sysctl -w net.ipv4.tcp_wmem="4096 16384 16777216"
			sysctl -w net.ipv4.tcp_notsent_lowat=131072
			sysctl -w net.ipv4.conf.wwan0.rp_filter=2
			ip mptcp limits set subflows 2 add_addr_accepted 0
			ip route replace 192.168.1.0/24 dev eth1 table 7403 proto 74
			ip route replace default via 192.168.1.1 dev eth1 table 7403 proto 74
			ip route replace 100.64.3.8/29 dev wwan0 table 7404 proto 74
			ip route replace default via 100.64.3.10 dev wwan0 table 7404 proto 74
			ip rule add pref 7400 from 192.168.1.2 lookup main suppress_prefixlength 0 protocol 74
			ip rule add pref 7401 from 192.168.1.2 lookup 7403 protocol 74
			ip rule add pref 7400 from 100.64.3.9 lookup main suppress_prefixlength 0 protocol 74
			ip rule add pref 7401 from 100.64.3.9 lookup 7404 protocol 74
			ip mptcp endpoint add 192.168.1.2 dev eth1 subflow
			ip mptcp endpoint add 100.64.3.9 dev wwan0 subflow`},
		{"one link, limits never lowered", "eth1", &observed{
			devices:  []device{dev(3, "eth1", "192.168.1.2/24")},
			defaults: []nextHop{via(3, "192.168.1.1", 100)},
			base:     limits{4, 0}, sysctls: good(),
		}, `
			ip mptcp limits set subflows 4 add_addr_accepted 0
			ip route replace 192.168.1.0/24 dev eth1 table 7403 proto 74
			ip route replace default via 192.168.1.1 dev eth1 table 7403 proto 74
			ip rule add pref 7400 from 192.168.1.2 lookup main suppress_prefixlength 0 protocol 74
			ip rule add pref 7401 from 192.168.1.2 lookup 7403 protocol 74
			ip mptcp endpoint add 192.168.1.2 dev eth1 subflow`},
		{"three links of both families, backup, overflow, off, PPP, gateway outside the prefix", "eth1 wwan0=backup ppp0=overflow wlan0=off", &observed{
			devices: []device{
				dev(3, "eth1", "203.0.113.5/32", "2001:db8:1::5/64", "fd00::5/64"),
				dev(4, "wwan0", "100.64.3.9/29", "2001:db8:4::9/64"),
				dev(5, "ppp0", "10.64.1.2/32>10.64.0.1/32"),
				dev(6, "wlan0", "192.168.7.7/24"),
			},
			defaults: []nextHop{
				{index: 3, gateway: netip.MustParseAddr("172.31.1.1"), onlink: true},
				via(3, "fe80::1", 1024), via(4, "100.64.3.10", 700), via(4, "100.64.3.11", 800), via(4, "fe80::4", 1024),
				via(5, "", 0), via(6, "192.168.7.1", 600),
			},
			sysctls: good(),
		}, `
			ip mptcp limits set subflows 3 add_addr_accepted 0
			ip route replace 203.0.113.5/32 dev eth1 table 7403 proto 74
			ip route replace default via 172.31.1.1 dev eth1 table 7403 onlink proto 74
			ip -6 route replace 2001:db8:1::/64 dev eth1 table 7403 proto 74
			ip -6 route replace default via fe80::1 dev eth1 table 7403 proto 74
			ip route replace 100.64.3.8/29 dev wwan0 table 7404 proto 74
			ip route replace default via 100.64.3.10 dev wwan0 table 7404 proto 74
			ip -6 route replace 2001:db8:4::/64 dev wwan0 table 7404 proto 74
			ip -6 route replace default via fe80::4 dev wwan0 table 7404 proto 74
			ip route replace 10.64.0.1/32 dev ppp0 table 7405 proto 74
			ip route replace default dev ppp0 table 7405 proto 74
			ip rule add pref 7400 from 203.0.113.5 lookup main suppress_prefixlength 0 protocol 74
			ip rule add pref 7401 from 203.0.113.5 lookup 7403 protocol 74
			ip -6 rule add pref 7400 from 2001:db8:1::5 lookup main suppress_prefixlength 0 protocol 74
			ip -6 rule add pref 7401 from 2001:db8:1::5 lookup 7403 protocol 74
			ip rule add pref 7400 from 100.64.3.9 lookup main suppress_prefixlength 0 protocol 74
			ip rule add pref 7401 from 100.64.3.9 lookup 7404 protocol 74
			ip -6 rule add pref 7400 from 2001:db8:4::9 lookup main suppress_prefixlength 0 protocol 74
			ip -6 rule add pref 7401 from 2001:db8:4::9 lookup 7404 protocol 74
			ip rule add pref 7400 from 10.64.1.2 lookup main suppress_prefixlength 0 protocol 74
			ip rule add pref 7401 from 10.64.1.2 lookup 7405 protocol 74
			ip mptcp endpoint add 203.0.113.5 dev eth1 subflow
			ip mptcp endpoint add 100.64.3.9 dev wwan0 subflow backup
			ip mptcp endpoint add 10.64.1.2 dev ppp0 subflow backup
			ip mptcp endpoint add 2001:db8:1::5 dev eth1 subflow
			ip mptcp endpoint add 2001:db8:4::9 dev wwan0 subflow backup`},
		{"IPv4 by an IPv6 gateway", "eth1", &observed{
			devices:  []device{dev(3, "eth1", "203.0.113.5/24")},
			defaults: []nextHop{{index: 3, gateway: netip.MustParseAddr("fe80::1")}},
		}, `
			ip mptcp limits set subflows 1 add_addr_accepted 0
			ip route replace 203.0.113.0/24 dev eth1 table 7403 proto 74
			ip route replace default via inet6 fe80::1 dev eth1 table 7403 proto 74
			ip rule add pref 7400 from 203.0.113.5 lookup main suppress_prefixlength 0 protocol 74
			ip rule add pref 7401 from 203.0.113.5 lookup 7403 protocol 74
			ip mptcp endpoint add 203.0.113.5 dev eth1 subflow`},
		{"a link without IPv4 beside one without IPv6, and one with both", "eth1 eth2 wwan0", &observed{
			devices:  []device{dev(3, "eth1", "192.168.1.2/24"), dev(4, "eth2", "192.168.2.2/24", "2001:db8:2::2/64"), dev(5, "wwan0", "2001:db8:5::9/64")},
			defaults: []nextHop{via(3, "192.168.1.1", 100), via(4, "192.168.2.1", 200), via(4, "fe80::2", 200), via(5, "fe80::5", 700)},
			sysctls:  good(),
		}, `
			ip mptcp limits set subflows 3 add_addr_accepted 3
			ip route replace 192.168.1.0/24 dev eth1 table 7403 proto 74
			ip route replace default via 192.168.1.1 dev eth1 table 7403 proto 74
			ip route replace 192.168.2.0/24 dev eth2 table 7404 proto 74
			ip route replace default via 192.168.2.1 dev eth2 table 7404 proto 74
			ip -6 route replace 2001:db8:2::/64 dev eth2 table 7404 proto 74
			ip -6 route replace default via fe80::2 dev eth2 table 7404 proto 74
			ip -6 route replace 2001:db8:5::/64 dev wwan0 table 7405 proto 74
			ip -6 route replace default via fe80::5 dev wwan0 table 7405 proto 74
			ip rule add pref 7400 from 192.168.1.2 lookup main suppress_prefixlength 0 protocol 74
			ip rule add pref 7401 from 192.168.1.2 lookup 7403 protocol 74
			ip rule add pref 7400 from 192.168.2.2 lookup main suppress_prefixlength 0 protocol 74
			ip rule add pref 7401 from 192.168.2.2 lookup 7404 protocol 74
			ip -6 rule add pref 7400 from 2001:db8:2::2 lookup main suppress_prefixlength 0 protocol 74
			ip -6 rule add pref 7401 from 2001:db8:2::2 lookup 7404 protocol 74
			ip -6 rule add pref 7400 from 2001:db8:5::9 lookup main suppress_prefixlength 0 protocol 74
			ip -6 rule add pref 7401 from 2001:db8:5::9 lookup 7405 protocol 74
			ip mptcp endpoint add 192.168.1.2 dev eth1 subflow
			ip mptcp endpoint add 192.168.2.2 dev eth2 subflow
			ip mptcp endpoint add 2001:db8:5::9 dev wwan0 subflow fullmesh
			ip mptcp endpoint add 2001:db8:2::2 dev eth2 subflow`},
		{"nothing there", "eth1", &observed{}, `
			ip mptcp limits set subflows 1 add_addr_accepted 0`},
	} {
		t.Run(test.name, func(t *testing.T) {
			pl := planner{wanted: wanted(t, test.wanted)}
			got := strings.Join(pl.plan(test.o).lines(), "\n")
			want := strings.ReplaceAll(strings.TrimSpace(test.want), "\t", "")
			if got != want {
				t.Errorf("got\n%s\n\nwant\n%s", got, want)
			}
		})
	}
}

func wanted(t *testing.T, s string) (all []Wanted) {
	t.Helper()
	for _, f := range strings.Fields(s) {
		w, err := ParseWanted(f)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, w)
	}
	return all
}

// states returns "name state (note)" of each link.
func states(links []Link) string {
	var all []string
	for _, l := range links {
		s := l.Name + " " + l.State.String()
		if l.Note != "" {
			s += " (" + l.Note + ")"
		}
		all = append(all, s)
	}
	return strings.Join(all, "\n")
}

func TestStates(t *testing.T) {
	o := &observed{
		devices: []device{
			dev(1, "a", "10.0.1.2/24"), dev(2, "b"), dev(3, "c", "10.0.3.2/24"), dev(4, "d", "10.0.4.2/24"),
			dev(5, "e", "10.0.5.2/24"), dev(6, "f", "10.0.1.2/24"), dev(7, "g", "10.0.7.2/24"), dev(8, "j", "10.0.8.2/24"),
		},
		foreign: map[int]bool{7408: true},
		defaults: []nextHop{
			via(1, "10.0.1.1", 0), via(2, "10.0.2.1", 0), via(4, "10.0.4.1", 0), via(5, "10.0.5.1", 0),
			via(6, "10.0.1.1", 0), via(7, "10.0.7.1", 0), via(8, "10.0.8.1", 0),
		},
		endpoints: []endpoint{{id: 1, addr: netip.MustParseAddr("10.0.7.2")}},
	}
	o.devices[3].up, o.devices[3].carrier = false, false
	o.devices[4].carrier = false
	pl := planner{wanted: wanted(t, "a b c d e f g h i=off j a0=off")}
	p := pl.plan(o)
	want := `a up
a0 absent
b no-address
c no-route
d down (switched off)
e down (no carrier)
f no-address (10.0.1.2 is also the address of a, so it cannot be used here)
g up (10.0.7.2 already is an endpoint that others made; it is left as it is)
h absent
i absent
j no-route (routing table 7408 holds routes that others made; it is left as it is)`
	if got := states(p.links); got != want {
		t.Errorf("got\n%s\n\nwant\n%s", got, want)
	}
	var tables []int
	for _, l := range p.links {
		if l.Table != 0 {
			tables = append(tables, l.Table)
		}
	}
	if want := []int{7401, 7405, 7407}; !slices.Equal(tables, want) {
		t.Errorf("tables %v, want %v: a link without carrier keeps its routes", tables, want)
	}
	if len(p.endpoints) != 1 || p.endpoints[0].dev != "a" {
		t.Errorf("endpoints %v, want only that of a", p.endpoints)
	}
}

// Foreign endpoints take places; the kernel's own implicit ones do not.
func TestEndpointPlaces(t *testing.T) {
	o := &observed{}
	for i := range 7 {
		n := byte(i + 1)
		d := device{index: i + 1, name: "w" + string('0'+n), up: true, carrier: true}
		a4, a6 := netip.AddrFrom4([4]byte{10, 0, n, 2}), netip.AddrFrom16([16]byte{0x20, 1, 15: n})
		d.addrs = []address{{addr: a4, net: netip.PrefixFrom(a4, 24).Masked()}, {addr: a6, net: netip.PrefixFrom(a6, 64).Masked()}}
		o.devices = append(o.devices, d)
		o.defaults = append(o.defaults, nextHop{index: i + 1}, nextHop{index: i + 1, ipv6: true})
	}
	o.endpoints = []endpoint{{addr: netip.MustParseAddr("192.0.2.1")}, {addr: netip.MustParseAddr("192.0.2.2")}, {addr: netip.MustParseAddr("10.0.1.2"), implicit: true}}
	pl := planner{wanted: wanted(t, "w1=backup w2 w3 w4 w5 w6 w7")}
	p := pl.plan(o)
	var got []string
	for _, e := range p.endpoints {
		got = append(got, e.addr.String())
	}
	if s := strings.Join(got, " "); s != "10.0.2.2 10.0.3.2 10.0.4.2 10.0.5.2 10.0.6.2 10.0.7.2" {
		t.Errorf("endpoints %s: want the six On links first", s)
	}
	if w1, w2 := p.links[0], p.links[1]; len(w1.Joins) != 0 || len(w1.Addrs) != 2 || !slices.Equal(w2.Joins, w2.Addrs[:1]) {
		t.Errorf("w1 joins from %v, w2 from %v of %v", w1.Joins, w2.Joins, w2.Addrs)
	}
	if note := p.links[0].Note; !strings.HasPrefix(note, "no endpoint for 10.0.1.2, the kernel has only 8") {
		t.Errorf("note of w1: %q", note)
	}
	if p.limits != (limits{7, 0}) {
		t.Errorf("limits %v, want 7", p.limits)
	}
	d := diff(&observed{endpoints: o.endpoints}, &plan{endpoints: []endpoint{{addr: o.endpoints[2].addr, index: 1, dev: "w1"}}})
	if len(d) != 1 || d[0].String() != "ip mptcp endpoint add 10.0.1.2 dev w1 subflow" {
		t.Errorf("an implicit endpoint is to be replaced by adding; got %v", d)
	}
}

// Where there are too few endpoints, those come first that can join a connection.
func TestEndpointFamilies(t *testing.T) {
	o := &observed{}
	for i := range 5 {
		name := fmt.Sprint("w", i+1)
		o.devices = append(o.devices, dev(i+1, name, fmt.Sprintf("10.0.%d.2/24", i+1), fmt.Sprintf("2001:db8:%d::2/64", i+1)))
		o.defaults = append(o.defaults, nextHop{index: i + 1}, nextHop{index: i + 1, ipv6: true})
	}
	for _, only := range []bool{false, true} {
		pl := planner{onlySix: only, wanted: wanted(t, "w1 w2 w3 w4 w5")}
		p := pl.plan(o)
		six := 0
		for i, e := range p.endpoints {
			if e.addr.Is6() {
				six++
			}
			if i < 5 && e.addr.Is6() != only {
				t.Errorf("relay of IPv6 only %v: endpoint %d is %s", only, i+1, e.addr)
			}
		}
		if want := map[bool]int{false: 3, true: 5}[only]; six != want || len(p.endpoints) != maxEndpoints {
			t.Errorf("relay of IPv6 only %v: %d of %d endpoints are IPv6, want %d", only, six, len(p.endpoints), want)
		}
	}
}

// Of two links with one address, the one that works has it.
func TestSameAddress(t *testing.T) {
	o := &observed{
		devices:  []device{dev(1, "a", "192.168.8.100/24"), dev(2, "b", "192.168.8.100/24")},
		defaults: []nextHop{via(1, "192.168.8.1", 0), via(2, "192.168.8.1", 0)},
	}
	o.devices[0].carrier = false
	pl := planner{wanted: wanted(t, "a b")}
	if p := pl.plan(o); len(p.endpoints) != 1 || p.endpoints[0].dev != "b" || len(p.rules) != 2 || p.rules[1].table != 7402 {
		t.Errorf("%v", p.lines())
	}
}

func TestSettingsAreNeverLowered(t *testing.T) {
	have := map[string]string{
		pathBlackhole: "0", pathSynRetrans: "127", pathClose: "900", pathRmem: "4096\t4194304\t33554432", pathWmem: "broken", pathUnsent: "16384",
		pathFilter("all"): "1", pathFilter("a"): "2", pathFilter("b"): "0",
	}
	links := []*candidate{{Link: Link{Name: "a", Table: 1}}, {Link: Link{Name: "b", Table: 2}}, {Link: Link{Name: "c"}}}
	if got := wantedSysctls(have, links, false, false); len(got) != 1 || got[0] != (sysctl{pathFilter("b"), "2"}) {
		t.Errorf("%v", got)
	}
	have[pathAnnounce] = "120"
	if got := wantedSysctls(have, nil, true, true); len(got) != 1 || got[0] != (sysctl{pathAnnounce, "1"}) {
		t.Errorf("a relay that announces: %v", got)
	}
	if s := (sysctl{pathFilter("eth0.7"), "2"}).line(""); s != "sysctl -w net.ipv4.conf.eth0/7.rp_filter=2" {
		t.Error(s)
	}
}

func TestSourceChoice(t *testing.T) {
	for _, test := range []struct{ name, addrs, flags, want string }{
		{"global before unique local", "fd00::5/64 2001:db8::5/64", "--", "2001:db8::5"},
		{"unique local if alone", "fd00::5/64", "-", "fd00::5"},
		{"stable before temporary", "2001:db8::1/64 2001:db8::5/64", "t-", "2001:db8::5"},
		{"not deprecated before all", "2001:db8::1/64 fd00::5/64", "d-", "fd00::5"},
		{"order of listing does not matter", "2001:db8::5/64 2001:db8::4/64", "--", "2001:db8::4"},
	} {
		d := dev(1, "a", strings.Fields(test.addrs)...)
		for i, f := range test.flags {
			d.addrs[i].temporary, d.addrs[i].deprecated = f == 't', f == 'd'
		}
		if a, _ := d.source(true, netip.Addr{}); a.addr.String() != test.want {
			t.Errorf("%s: %s", test.name, a.addr)
		}
	}
	d := dev(1, "a", "10.0.0.2/24", "10.0.0.1/24")
	d.addrs[1].secondary = true
	if a, _ := d.source(false, netip.Addr{}); a.addr.String() != "10.0.0.2" {
		t.Errorf("secondary address %s chosen", a.addr)
	}
}

// A plan that was carried out leads to no further step.
func TestPlanIsIdempotent(t *testing.T) {
	o := home()
	pl := planner{}
	k := &fakeKernel{o: *o}
	for _, s := range diff(o, pl.plan(o)) {
		if err := k.apply(s); err != nil {
			t.Fatal(err)
		}
	}
	again, _ := k.observe(nil)
	for i := range again.endpoints {
		again.endpoints[i].ours = true
	}
	again.base = limits{2, 0}
	if d := diff(again, pl.plan(again)); len(d) != 0 {
		t.Errorf("still to do: %v", d)
	}
}

func TestMetered(t *testing.T) {
	o := &observed{devices: []device{{index: 2, name: "eth0"}, {index: 3, name: "wwp0s2"}, {index: 4, name: "wwan0"}}}
	for i := range o.devices {
		o.defaults = append(o.defaults, nextHop{index: o.devices[i].index})
	}
	for name, tt := range map[string]struct {
		wanted []Wanted
		want   string
	}{
		"by name": {nil, "wwan0 wwp0s2 "},
		"as told": {[]Wanted{{Name: "eth0", Charge: Metered}, {Name: "wwan0", Charge: Flat}, {Name: "wwp0s2"}, {Name: "ww"}}, "eth0 ww wwp0s2 "},
	} {
		got := ""
		for _, l := range (&planner{wanted: tt.wanted}).plan(o).links {
			if l.Metered {
				got += l.Name + " "
			}
		}
		if got != tt.want {
			t.Errorf("%s: metered are %q, want %q", name, got, tt.want)
		}
	}
}

func TestParseWanted(t *testing.T) {
	for in, want := range map[string]Wanted{
		"eth0": {Name: "eth0"}, "wwan0=backup": {Name: "wwan0", Mode: Backup}, "eth0.7=off": {Name: "eth0.7", Mode: Off},
		"ppp0=overflow": {Name: "ppp0", Mode: Overflow}, "a=on": {Name: "a", Mode: On},
	} {
		if got, err := ParseWanted(in); got != want || err != nil {
			t.Errorf("%q: %v, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "=on", "eth0=", "eth0=On", "eth0=on=off", "a/b", "..", "a b", "sixteen-bytes-xx", "lo", "all", "eth0:1"} {
		if got, err := ParseWanted(in); err == nil {
			t.Errorf("%q gives %v", in, got)
		}
	}
	for m := range numModes {
		if got, err := ParseMode(m.String()); got != m || err != nil {
			t.Errorf("%v: %v, %v", m, got, err)
		}
	}
}

// A relay takes the subflows of any gateway and leaves the host's own links alone.
func TestPlanOfARelay(t *testing.T) {
	p := (&planner{relay: true}).plan(home())
	want := []string{
		"sysctl -w net.mptcp.close_timeout=300",
		`sysctl -w net.ipv4.tcp_rmem="4096 1048576 16777216"`,
		`sysctl -w net.ipv4.tcp_wmem="4096 16384 16777216"`,
		`sysctl -w net.ipv4.tcp_notsent_lowat=131072`,
		"ip mptcp limits set subflows 8 add_addr_accepted 8",
	}
	if got := p.lines(); !slices.Equal(got, want) || len(p.links) != 0 {
		t.Errorf("plan:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// A relay with an address of each family announces both; one behind a NAT, or with
// one family, has nothing to tell.
func TestPlanAnnounces(t *testing.T) {
	six := via(3, "fe80::1", 100)
	for _, c := range []struct {
		what  string
		addrs []string
		hops  []nextHop
		want  string
	}{
		{"both", []string{"11.0.0.2/24", "2001:db8::2/64"}, []nextHop{via(3, "11.0.0.1", 100), six},
			"ip mptcp endpoint add 11.0.0.2 dev eth1 signal\nip mptcp endpoint add 2001:db8::2 dev eth1 signal"},
		{"IPv4 alone", []string{"11.0.0.2/24"}, []nextHop{via(3, "11.0.0.1", 100)}, ""},
		{"no IPv6 route", []string{"11.0.0.2/24", "2001:db8::2/64"}, []nextHop{via(3, "11.0.0.1", 100)}, ""},
		{"behind a NAT", []string{"10.0.0.2/24", "2001:db8::2/64"}, []nextHop{via(3, "10.0.0.1", 100), six}, ""},
		{"behind a provider's NAT", []string{"100.65.0.2/24", "2001:db8::2/64"}, []nextHop{via(3, "100.65.0.1", 100), six}, ""},
	} {
		o := &observed{devices: []device{dev(3, "eth1", c.addrs...)}, defaults: c.hops, sysctls: good()}
		p := (&planner{relay: true, announces: true}).plan(o)
		lines := p.lines()
		if got := strings.Join(lines[slices.IndexFunc(lines, func(l string) bool { return strings.Contains(l, "limits") })+1:], "\n"); got != c.want {
			t.Errorf("%s: %q, want %q", c.what, got, c.want)
		}
	}
	o := &observed{devices: []device{dev(3, "eth1", "11.0.0.2/24", "2001:db8::2/64")}, defaults: []nextHop{via(3, "11.0.0.1", 100), six},
		endpoints: []endpoint{{id: 1, addr: netip.MustParseAddr("11.0.0.2"), signal: true}}}
	if p := (&planner{relay: true, announces: true}).plan(o); len(p.endpoints) != 1 {
		t.Errorf("beside an endpoint of others: %v", p.endpoints)
	}
}

// An endpoint that is fullmesh without need stays so: the change would end its subflows.
func TestFullmeshStays(t *testing.T) {
	a := endpoint{id: 1, addr: netip.MustParseAddr("2001:db8::9"), index: 3, dev: "eth1", ours: true}
	full, backup := a, a
	full.fullmesh, backup.backup = true, true
	for _, c := range []struct {
		is, want endpoint
		steps    string
	}{
		{full, a, ""}, {a, a, ""}, {a, full, "ip mptcp endpoint change 2001:db8::9 dev eth1 subflow fullmesh"},
		{full, backup, "ip mptcp endpoint change 2001:db8::9 dev eth1 subflow backup fullmesh"},
	} {
		var got []string
		for _, s := range diff(&observed{endpoints: []endpoint{c.is}}, &plan{endpoints: []endpoint{c.want}}) {
			got = append(got, s.String())
		}
		if strings.Join(got, "\n") != c.steps {
			t.Errorf("%v to %v: %q, want %q", c.is, c.want, got, c.steps)
		}
	}
}

// A tunnel with a default route is no link unless somebody says so.
func TestTunnelIsNoLink(t *testing.T) {
	o := home()
	o.devices[3].tunnel = true
	if got := states((&planner{}).plan(o).links); got != "eth1 up" {
		t.Error(got)
	}
	if got := states((&planner{wanted: wanted(t, "wwan0")}).plan(o).links); got != "wwan0 up" {
		t.Error(got)
	}
}

// The address in use stays while there is none that is better, whatever others come.
func TestSourceStays(t *testing.T) {
	d := dev(1, "eth0", "2001:db8::5/64", "2001:db8::3/64")
	used := d.addrs[0].addr
	if a, _ := d.source(true, used); a.addr != used {
		t.Errorf("%v is chosen although %v is in use", a.addr, used)
	}
	if a, _ := d.source(true, netip.MustParseAddr("2001:db8::9")); a.addr != d.addrs[1].addr {
		t.Errorf("%v is chosen when the one in use has gone", a.addr)
	}
	d.addrs[0].deprecated = true
	if a, _ := d.source(true, used); a.addr == used {
		t.Error("a deprecated address is kept")
	}
}
