package gateway

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tributary/mptcp"
)

// TestAttempts sees in which order connections are begun where links and relay have
// different families.
func TestAttempts(t *testing.T) {
	a := netip.MustParseAddr
	four := []source{{link: "dsl", addr: a("10.0.1.2")}, {link: "cable", addr: a("10.0.2.2")}}
	six := []source{{link: "lte", addr: a("2001:db8:3::2")}, {link: "cable", addr: a("2001:db8:2::2")}}
	stripped := []source{{link: "cable", addr: a("10.0.2.2")}, {link: "dsl", addr: a("10.0.1.2"), apart: true}}
	relay4, relay6 := a("192.0.2.1"), a("2001:db8::1")
	for _, c := range []struct {
		what     string
		relay    []netip.Addr
		four     []source
		sixFirst bool
		want     string
	}{
		{"the resolver puts IPv6 first, more links have IPv4", []netip.Addr{relay6, relay4}, four, false, "dsl4 cable4 lte6 cable6"},
		{"more links have IPv6", []netip.Addr{relay4, relay6}, four, true, "lte6 cable6 dsl4 cable4"},
		{"the relay has IPv6 alone", []netip.Addr{relay6}, four, false, "lte6 cable6"},
		{"MPTCP does not pass DSL", []netip.Addr{relay4, relay6}, stripped, false, "cable4 lte6 cable6 dsl4"},
	} {
		u := &upstream{
			sources: func(v6 bool) []source {
				if v6 {
					return six
				}
				return c.four
			},
			sixFirst: func() bool { return c.sixFirst },
		}
		var got []string
		for _, at := range u.attempts(c.relay, 8443, false) {
			got = append(got, at.from.link+map[bool]string{true: "6", false: "4"}[at.to.Addr().Is6()])
		}
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("%s: %s, want %s", c.what, s, c.want)
		}
	}
}

// A request waits a moment for an address of the only link, a connection for the pool does
// not.
func TestRequestWaitsForAnAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			wary  bool
			after time.Duration // when the link has one
			found bool
			took  time.Duration
		}{
			{true, addressTime / 2, true, addressTime / 2},
			{true, 2 * addressTime, false, addressTime},
			{false, addressTime / 2, false, 0},
			{true, 0, true, 0},
		} {
			began := time.Now()
			a := netip.MustParseAddr("192.0.2.1")
			u := &upstream{sources: func(v6 bool) []source {
				if v6 || time.Since(began) < c.after {
					return nil
				}
				return []source{{link: "dsl", addr: a}}
			}}
			found := len(u.awaited(t.Context(), []netip.Addr{a}, 1, c.wary)) > 0
			if took := time.Since(began); found != c.found || took < c.took || took > c.took+2*addressLook {
				t.Errorf("%+v: found %v after %v", c, found, took)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		u := &upstream{sources: func(bool) []source { return nil }}
		if began := time.Now(); u.awaited(ctx, nil, 1, true) != nil || time.Since(began) > 0 {
			t.Error("nobody waits for it any more")
		}
	})
}

// TestExpected sees which links a connection is to have.
func TestExpected(t *testing.T) {
	a := netip.MustParseAddr
	u := &upstream{sources: func(v6 bool) []source {
		if v6 {
			return []source{{link: "lte", addr: a("2001:db8:3::2")}, {link: "cable", addr: a("2001:db8:2::2")}}
		}
		return []source{{link: "dsl", addr: a("10.0.1.2")}, {link: "cable", addr: a("10.0.2.2")}, {link: "bad", addr: a("10.0.4.2"), apart: true}}
	}}
	names := func(all []source) (s string) {
		for _, x := range all {
			s += x.link + " "
		}
		return s
	}
	for _, c := range []struct {
		to         string
		announced  int
		now, later string
	}{
		{"192.0.2.1:1", 0, "dsl cable ", "lte "},
		{"192.0.2.1:1", 1, "dsl cable lte ", ""},
		{"[2001:db8::1]:1", 0, "lte cable ", "dsl "},
	} {
		now, later := u.expected(netip.MustParseAddrPort(c.to), mptcp.Full{Connection: mptcp.Connection{Announced: c.announced}})
		if names(now) != c.now || names(later) != c.later {
			t.Errorf("%s, %d announced: %q and %q, want %q and %q", c.to, c.announced, names(now), names(later), c.now, c.later)
		}
	}
}
