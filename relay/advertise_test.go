package relay

import (
	"net/netip"
	"strings"
	"testing"
)

// TestChoose sees what join links call a host with these addresses.
func TestChoose(t *testing.T) {
	for _, c := range []struct{ own, best, other string }{
		{"127.0.0.1 ::1 fe80::1", "", ""},
		{"10.0.0.2 2001:db8::2", "2001:db8::2", ""},
		{"fd00::2 10.0.0.2", "10.0.0.2", ""},
		{"11.0.0.2 2001:db8::2 2001:db8::3", "11.0.0.2", "2001:db8::2"},
		{"2001:db8::2 11.0.0.2 11.0.0.3", "11.0.0.2", "2001:db8::2"},
		{"11.0.0.2 fd00::2", "11.0.0.2", ""},
	} {
		var own []netip.Addr
		for _, s := range strings.Fields(c.own) {
			own = append(own, netip.MustParseAddr(s))
		}
		text := func(a netip.Addr) string {
			if !a.IsValid() {
				return ""
			}
			return a.String()
		}
		if best, other := choose(own); text(best) != c.best || text(other) != c.other {
			t.Errorf("%s: %v and %v, want %q and %q", c.own, best, other, c.best, c.other)
		}
	}
}
