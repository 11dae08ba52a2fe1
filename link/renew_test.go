package link

import (
	"testing"
	"testing/synctest"
)

// A renewed link loses its endpoint and has it again; nothing else changes.
func TestRenew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newFake(home())
		m, stop := start(t, k, "")
		defer stop()
		k.steps()
		if err := m.Renew([]string{"wwan0", "gone0"}); err != nil {
			t.Fatal(err)
		}
		expectSteps(t, k, "renewed", "ip mptcp endpoint delete 100.64.3.9 dev wwan0 subflow\nip mptcp endpoint add 100.64.3.9 dev wwan0 subflow")
		if err := m.Renew(nil); err != nil {
			t.Fatal(err)
		}
		expectSteps(t, k, "none", "")
	})
}
