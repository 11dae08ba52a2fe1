package link

import (
	"net/netip"
	"reflect"
	"testing"
	"testing/synctest"
)

// An address over which MPTCP does not pass has no endpoint, and keeps its way.
func TestBar(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newFake(home())
		before, _ := k.observe(nil)
		m, stop := start(t, k, "")
		k.steps()
		wwan := netip.MustParseAddr("100.64.3.9")
		for _, c := range []struct {
			what  string
			bar   map[netip.Addr]string
			steps string
			links string
		}{
			{"barred", map[netip.Addr]string{wwan: "options are removed"},
				"ip mptcp endpoint delete 100.64.3.9 dev wwan0 subflow", "eth1 up\nwwan0 up (options are removed)"},
			{"as before", map[netip.Addr]string{wwan: "options are removed"}, "", "eth1 up\nwwan0 up (options are removed)"},
			{"another address", map[netip.Addr]string{netip.MustParseAddr("192.0.2.9"): "gone"},
				"ip mptcp endpoint add 100.64.3.9 dev wwan0 subflow", "eth1 up\nwwan0 up"},
		} {
			if err := m.Bar(c.bar); err != nil {
				t.Fatal(err)
			}
			expectSteps(t, k, c.what, c.steps)
			if got := states(m.Links()); got != c.links {
				t.Errorf("%s: %s", c.what, got)
			}
		}
		stop()
		after, _ := k.observe(nil)
		if !reflect.DeepEqual(normal(after), normal(before)) {
			t.Errorf("after\n%+v\nbefore\n%+v", after, before)
		}
	})
}
