package gateway

import (
	"net/netip"
	"testing"
	"time"

	"tributary/health"
	"tributary/link"
)

// Nothing joins over a link in its first moments, where nothing is heard yet.
func TestWakes(t *testing.T) {
	now := time.Now()
	lte, dsl := netip.MustParseAddr("2001:db8::2"), netip.MustParseAddr("192.0.2.2")
	for _, c := range []struct {
		name  string
		since time.Duration
		state health.State
		local netip.Addr
		want  bool
	}{
		{"it has just come", time.Second, health.Unknown, lte, true},
		{"it is heard", time.Second, health.Alive, lte, false},
		{"it is there for long, and knows no probes", wakeTime, health.Unknown, lte, false},
		{"another link", time.Second, health.Unknown, dsl, false},
	} {
		links := []link.Link{{Name: "lte", Addrs: []netip.Addr{lte}, Since: now.Add(-c.since)}, {Name: "dsl", Addrs: []netip.Addr{dsl}}}
		state := func(name string) health.State {
			if name == "lte" {
				return c.state
			}
			return health.Alive
		}
		if got := wakes(links, c.local, state, now); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
