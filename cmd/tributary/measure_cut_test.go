package main

import (
	"net/netip"
	"testing"
	"time"
)

// What a cut asks of nft: a set whose entry the kernel forgets by itself, and
// nothing that a crash could leave in force.
func TestCutScript(t *testing.T) {
	const want = `add table inet tributary_cut
delete table inet tributary_cut
add table inet tributary_cut
add set inet tributary_cut links { type ifname; flags timeout; }
add chain inet tributary_cut arrived { type filter hook prerouting priority -300; }
add rule inet tributary_cut arrived iifname @links ip saddr 192.0.2.7 drop
add rule inet tributary_cut arrived iifname @links ip6 saddr 2001:db8::7 drop
add element inet tributary_cut links { "eth1" timeout 5000ms }
`
	c := linkCut{link: "eth1", relay: []netip.Addr{netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("2001:db8::7")}}
	if got := c.script(5 * time.Second); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}
