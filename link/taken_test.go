package link

import (
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"

	"tributary/mptcp/pm"
)

// What NetworkManager or mptcpd made for joining is taken over, and given back.
func TestTakeOver(t *testing.T) {
	wwan := netip.MustParseAddr("100.64.3.9")
	note := "wwan0 up (another program had made 100.64.3.9 an endpoint; it is taken over until this one ends)"
	for _, c := range []struct {
		what   string
		theirs endpoint
		begin  string
		end    string
		links  string
	}{
		{"as ours would be", endpoint{id: 9, addr: wwan, index: 4, dev: "wwan0", theirs: pm.Subflow},
			"ip mptcp endpoint adopt 100.64.3.9 dev wwan0 subflow\nip mptcp endpoint add 192.168.1.2 dev eth1 subflow",
			"ip mptcp endpoint delete 192.168.1.2 dev eth1 subflow", "eth1 up\n" + note},
		{"by any interface", endpoint{id: 9, addr: wwan, theirs: pm.Subflow | pm.Fullmesh, fullmesh: true},
			"ip mptcp endpoint delete 100.64.3.9 dev  subflow fullmesh\nip mptcp endpoint add 192.168.1.2 dev eth1 subflow\nip mptcp endpoint add 100.64.3.9 dev wwan0 subflow",
			"ip mptcp endpoint delete 192.168.1.2 dev eth1 subflow\nip mptcp endpoint delete 100.64.3.9 dev wwan0 subflow\nip mptcp endpoint restore 100.64.3.9 dev  subflow", "eth1 up\n" + note},
		{"for a server", endpoint{id: 9, addr: wwan, theirs: pm.Signal, signal: true},
			"ip mptcp endpoint add 192.168.1.2 dev eth1 subflow", "ip mptcp endpoint delete 192.168.1.2 dev eth1 subflow",
			"eth1 up\nwwan0 up (100.64.3.9 already is an endpoint that others made; it is left as it is)"},
	} {
		synctest.Test(t, func(t *testing.T) {
			o := home()
			o.endpoints = []endpoint{c.theirs}
			k := newFake(o)
			m, stop := start(t, k, "")
			if got := endpointSteps(k); got != c.begin {
				t.Errorf("%s: began with\n%s\nwant\n%s", c.what, got, c.begin)
			}
			if err := m.reconcile(); err != nil {
				t.Fatal(err)
			}
			if got := endpointSteps(k); got != "" {
				t.Errorf("%s: a second look did\n%s", c.what, got)
			}
			if got := states(m.Links()); got != c.links {
				t.Errorf("%s: %s", c.what, got)
			}
			stop()
			if got := endpointSteps(k); got != c.end {
				t.Errorf("%s: ended with\n%s\nwant\n%s", c.what, got, c.end)
			}
			if len(k.o.endpoints) != 1 || k.o.endpoints[0].theirs != c.theirs.theirs || k.o.endpoints[0].id != 9 {
				t.Errorf("%s: left %+v", c.what, k.o.endpoints)
			}
		})
	}
}

// A link that dies takes the endpoint with it, whoever made it.
func TestTakenDies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := home()
		o.endpoints = []endpoint{{id: 9, addr: netip.MustParseAddr("100.64.3.9"), index: 4, dev: "wwan0", theirs: pm.Subflow}}
		k := newFake(o)
		m, stop := start(t, k, "")
		endpointSteps(k)
		m.Steer(map[string]Part{"wwan0": {Role: Out, Lost: true, Why: "silent"}})
		if got := endpointSteps(k); got != "ip mptcp endpoint delete 100.64.3.9 dev wwan0 subflow" {
			t.Errorf("silent: %s", got)
		}
		stop()
		if !slices.ContainsFunc(k.o.endpoints, func(e endpoint) bool { return e.theirs == pm.Subflow }) {
			t.Errorf("left %+v", k.o.endpoints)
		}
	})
}
