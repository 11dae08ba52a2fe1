package egress

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

func ip(s string) netip.Addr { return netip.MustParseAddr(s) }

// Where a SYN was lost there is none with the option for an hour, then for four,
// at most for a day, until data in one was answered.
func TestSynMemoryPlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newSynMemory()
		to, from := ip("9.9.9.1"), ip("5.9.17.33")
		for _, lasts := range []time.Duration{time.Hour, 4 * time.Hour, 16 * time.Hour, 24 * time.Hour, 24 * time.Hour} {
			if !m.may(to) {
				t.Fatalf("banned before the one of %v", lasts)
			}
			m.learn(to, from, true, synLost)
			time.Sleep(lasts - time.Second)
			if m.may(to) || m.may(ip("9.9.9.254")) {
				t.Errorf("may again before %v", lasts)
			}
			if !m.may(ip("9.9.10.1")) || !m.may(ip("2a01::1")) {
				t.Error("another network is banned too")
			}
			time.Sleep(time.Second)
		}
		m.learn(to, from, false, synAnswered) // does not say that data passes
		m.learn(to, from, true, synLost)
		time.Sleep(23 * time.Hour)
		if m.may(to) {
			t.Error("a SYN without data ended the growth")
		}
		time.Sleep(time.Hour)
		m.learn(to, from, true, synAnswered)
		m.learn(to, from, true, synDoubtful)
		time.Sleep(time.Hour)
		if !m.may(to) {
			t.Error("an answer did not end the growth")
		}
		m.learn(ip("2a01:4f8:1::1"), from, true, synDoubtful)
		if m.may(ip("2a01:4f8:1:ffff::1")) || !m.may(ip("2a01:4f8:2::1")) {
			t.Error("want the /48 banned, and no more")
		}
	})
}

// Three networks in a row show that the line is at fault; another line is not.
func TestSynMemoryLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newSynMemory()
		dsl, lte := ip("5.9.17.33"), ip("2a01:4f8::7")
		asked := 0
		m.source = func(to netip.Addr) netip.Addr {
			asked++
			if to.Is6() {
				return lte
			}
			return dsl
		}
		n := 0
		fail := func(data bool, o synOutcome) {
			n++
			m.learn(netip.AddrFrom4([4]byte{8, 1, byte(n), 1}), dsl, data, o)
		}
		far4, far6 := ip("9.9.9.9"), ip("2606:4700::1")
		fail(true, synLost)
		fail(true, synLost)
		fail(false, synLost) // of another kind
		fail(false, synLost)
		m.learn(far4, dsl, true, synAnswered)
		fail(true, synLost)
		fail(true, synLost)
		fail(true, synDoubtful) // may be the server's fault
		m.learn(netip.AddrFrom4([4]byte{8, 1, byte(n), 1}), dsl, true, synDoubtful)
		if !m.may(far4) || asked != 0 {
			t.Errorf("the line is banned too early, or asked for (%d times)", asked)
		}
		fail(true, synLost)
		if m.may(far4) || !m.may(far6) {
			t.Error("want one line banned, and not the other")
		}
		time.Sleep(time.Hour)
		if !m.may(far4) {
			t.Error("banned for longer than an hour")
		}
		for range banPlaces {
			fail(false, synLost)
		}
		time.Sleep(4*time.Hour - time.Second)
		if m.may(far4) {
			t.Error("the second time is not longer")
		}
		m.learn(far4, dsl, true, synAnswered) // of an attempt begun before
		if !m.may(far4) {
			t.Error("an answer does not end the ban")
		}
	})
}

func TestSynMemoryBounded(t *testing.T) {
	m := newSynMemory()
	for i := range 2 * maxPlaces {
		a := netip.AddrFrom4([4]byte{8, byte(i >> 8), byte(i), 1})
		m.learn(a, a, true, synLost)
		if m.may(a) {
			t.Fatal("the latest is forgotten")
		}
	}
	if len(m.places) > maxPlaces || len(m.lines) > maxLines {
		t.Errorf("%d places, %d lines", len(m.places), len(m.lines))
	}
}

func TestSource(t *testing.T) {
	if a := source(ip("127.0.0.2")); !a.IsLoopback() {
		t.Errorf("from %v", a)
	}
}
