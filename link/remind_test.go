package link

import (
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

// The part of a link is told again by changing it for a moment, and only where it is
// what is wanted.
func TestRemind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newFake(home())
		m, stop := start(t, k, "")
		defer stop()
		parts := map[string]Part{"wwan0": {Role: Standby}}
		if err := m.Steer(parts); err != nil {
			t.Fatal(err)
		}
		k.steps()
		born := time.Now().Add(-time.Hour)
		remind := func(over ...string) string {
			t.Helper()
			for _, a := range over {
				m.Joined(netip.MustParseAddr(a), born)
			}
			if err := m.Steer(parts); err != nil {
				t.Fatal(err)
			}
			return k.steps()
		}
		const plain, backup = "ip mptcp endpoint change 100.64.3.9 dev wwan0 subflow", "ip mptcp endpoint change 100.64.3.9 dev wwan0 subflow backup"
		if got := remind("100.64.3.9"); got != plain+"\n"+backup {
			t.Errorf("it stands by: %q", got)
		}
		time.Sleep(time.Second)
		if got := remind("100.64.3.9"); got == "" {
			t.Error("a second later another one has joined")
		}
		if got := remind("100.64.3.9"); got != "" {
			t.Errorf("a moment later: %q", got)
		}
		time.Sleep(time.Second)
		if got := remind(); got == "" {
			t.Error("that one was forgotten")
		}
		born = time.Now()
		if got := remind("100.64.3.9"); got != "" {
			t.Errorf("its connection began later: %q", got)
		}
		born = born.Add(-time.Hour)
		if got := remind() + remind("192.168.1.2", "10.9.9.9"); got != "" {
			t.Errorf("it is another one: %q", got)
		}
		k.fail = func(s step) error {
			if s.String() == backup {
				return errors.New("interrupted")
			}
			return nil
		}
		time.Sleep(3 * time.Second)
		remind("100.64.3.9")
		k.mu.Lock()
		k.fail = nil
		k.mu.Unlock()
		time.Sleep(2 * retry)
		if got := k.steps(); got != backup {
			t.Errorf("it failed half way: %q", got)
		}
		time.Sleep(joinTime)
		if got := remind("100.64.3.9"); got != "" {
			t.Errorf("it began later: %q", got)
		}
		parts = map[string]Part{"wwan0": {Role: Out}}
		if err := m.Steer(parts); err != nil {
			t.Fatal(err)
		}
		k.steps()
		if got := remind("100.64.3.9"); got != "" {
			t.Errorf("it has no endpoint: %q", got)
		}
		parts = map[string]Part{"wwan0": {Role: Full}}
		if err := m.Steer(parts); err != nil {
			t.Fatal(err)
		}
		k.steps()
		if err := m.Steer(map[string]Part{"wwan0": {Role: Standby}}); err != nil {
			t.Fatal(err)
		}
		for _, role := range []Role{Out, Standby} {
			parts = map[string]Part{"wwan0": {Role: role}}
			if err := m.Steer(parts); err != nil {
				t.Fatal(err)
			}
		}
		k.steps()
		if got := remind("100.64.3.9"); got != "" {
			t.Errorf("it began as it is now: %q", got)
		}
	})
}
