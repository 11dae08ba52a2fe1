package link

import (
	"reflect"
	"testing"
	"testing/synctest"
)

// A link that says nothing loses its endpoint at once and keeps its way, so that
// it can be asked; one in doubt is a backup; well again, it is as before.
func TestHealth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newFake(home())
		before, _ := k.observe(nil)
		m, stop := start(t, k, "")
		k.steps()
		for _, c := range []struct {
			what   string
			health map[string]Health
			steps  string
			links  string
		}{
			{"silent", map[string]Health{"wwan0": {Dead: true, Why: "no answer for 200 ms"}},
				"ip mptcp endpoint delete 100.64.3.9 dev wwan0 subflow", "eth1 up\nwwan0 silent (no answer for 200 ms)"},
			{"as before", map[string]Health{"wwan0": {Dead: true, Why: "no answer for 200 ms"}}, "", "eth1 up\nwwan0 silent (no answer for 200 ms)"},
			{"well", nil, "ip mptcp endpoint add 100.64.3.9 dev wwan0 subflow", "eth1 up\nwwan0 up"},
			{"in doubt", map[string]Health{"eth1": {Doubtful: true, Why: "one in ten is lost"}},
				"ip mptcp endpoint change 192.168.1.2 dev eth1 subflow backup", "eth1 up (one in ten is lost)\nwwan0 up"},
			{"well again", map[string]Health{"eth1": {}, "gone0": {Dead: true}}, "ip mptcp endpoint change 192.168.1.2 dev eth1 subflow", "eth1 up\nwwan0 up"},
		} {
			changed := m.Changed()
			if err := m.SetHealth(c.health); err != nil {
				t.Fatal(err)
			}
			select {
			case <-changed:
				if c.steps == "" {
					t.Errorf("%s: told as a change", c.what)
				}
			default:
				if c.steps != "" {
					t.Errorf("%s: not told", c.what)
				}
			}
			expectSteps(t, k, c.what, c.steps)
			if got := states(m.Links()); got != c.links {
				t.Errorf("%s: %s", c.what, got)
			}
		}
		// What the kernel says of a link goes before what others say.
		k.event(now, func(o *observed) { o.devices[3].carrier = false })
		synctest.Wait()
		m.SetHealth(map[string]Health{"wwan0": {Dead: true, Why: "no answer"}})
		if got := states(m.Links()); got != "eth1 up\nwwan0 down (no carrier)" {
			t.Error(got)
		}
		k.event(now, func(o *observed) { o.devices[3].carrier = true })
		synctest.Wait()
		if got := states(m.Links()); got != "eth1 up\nwwan0 silent (no answer)" {
			t.Error(got)
		}
		stop()
		after, _ := k.observe(nil)
		if !reflect.DeepEqual(normal(after), normal(before)) {
			t.Errorf("after\n%+v\nbefore\n%+v", after, before)
		}
	})
}
