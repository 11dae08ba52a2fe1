package link

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
)

// A link over which nothing comes loses its endpoint at once and keeps its way, so
// that it can be asked; between full and backup one flag changes, whatever the mode
// says; not steered any more, it is as before.
func TestSteer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newFake(home())
		before, _ := k.observe(nil)
		m, stop := start(t, k, "")
		k.steps()
		for _, c := range []struct {
			what  string
			parts map[string]Part
			steps string
			links string
		}{
			{"silent", map[string]Part{"wwan0": {Role: Out, Lost: true, Why: "no answer for 200 ms"}},
				"ip mptcp endpoint delete 100.64.3.9 dev wwan0 subflow", "eth1 up full\nwwan0 silent out (no answer for 200 ms)"},
			{"as before", map[string]Part{"wwan0": {Role: Out, Lost: true, Why: "no answer for 200 ms"}}, "", "eth1 up full\nwwan0 silent out (no answer for 200 ms)"},
			{"as its mode says", nil, "ip mptcp endpoint add 100.64.3.9 dev wwan0 subflow", "eth1 up full\nwwan0 up full"},
			{"held back", map[string]Part{"eth1": {Role: Standby}},
				"ip mptcp endpoint change 192.168.1.2 dev eth1 subflow backup", "eth1 up backup\nwwan0 up full"},
			{"changing places", map[string]Part{"wwan0": {Role: Standby}},
				"ip mptcp endpoint change 192.168.1.2 dev eth1 subflow\nip mptcp endpoint change 100.64.3.9 dev wwan0 subflow backup", "eth1 up full\nwwan0 up backup"},
			{"out, and not silent", map[string]Part{"wwan0": {Role: Out}}, "ip mptcp endpoint delete 100.64.3.9 dev wwan0 subflow backup", "eth1 up full\nwwan0 up out"},
			{"full again", map[string]Part{"eth1": {}, "gone0": {Role: Out}}, "ip mptcp endpoint add 100.64.3.9 dev wwan0 subflow", "eth1 up full\nwwan0 up full"},
		} {
			changed := m.Changed()
			if err := m.Steer(c.parts); err != nil {
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
			if got := roles(m.Links()); got != c.links {
				t.Errorf("%s: %s", c.what, got)
			}
		}
		// What the kernel says of a link goes before what others say.
		k.event(now, func(o *observed) { o.devices[3].carrier = false })
		synctest.Wait()
		m.Steer(map[string]Part{"wwan0": {Role: Out, Lost: true, Why: "no answer"}})
		if got := roles(m.Links()); got != "eth1 up full\nwwan0 down out (no carrier)" {
			t.Error(got)
		}
		k.event(now, func(o *observed) { o.devices[3].carrier = true })
		synctest.Wait()
		if got := roles(m.Links()); got != "eth1 up full\nwwan0 silent out (no answer)" {
			t.Error(got)
		}
		stop()
		after, _ := k.observe(nil)
		if !reflect.DeepEqual(normal(after), normal(before)) {
			t.Errorf("after\n%+v\nbefore\n%+v", after, before)
		}
	})
}

// roles writes links with the part they play.
func roles(links []Link) string {
	var lines []string
	for _, l := range links {
		line := fmt.Sprintf("%s %s %s", l.Name, l.State, l.Role)
		if l.Note != "" {
			line += " (" + l.Note + ")"
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}
