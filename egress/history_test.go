package egress

import (
	"fmt"
	"net/netip"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"tributary/proxy"
)

// took opens a connection to the name and returns what it took.
func took(t *testing.T, d *Dialer, name string) (time.Duration, netip.Addr) {
	t.Helper()
	addr, err := proxy.NameAddr(name, 443)
	if err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	c, err := d.DialStream(t.Context(), addr, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return time.Since(begun), c.(*fakeConn).ip
}

// The budget of a relay whose IPv6 is dead: at most 260 ms more once, at most
// 10 ms more afterwards, for other names too. And it is found when it comes back.
func TestHistoryDeadIPv6(t *testing.T) {
	const connect = 20 * time.Millisecond
	synctest.Test(t, func(t *testing.T) {
		n := &fakeNet{dns: map[string]fakeAnswer{"ip6": {addrs: []string{six}}, "ip4": {addrs: []string{four}}},
			hosts: map[string]fakeHost{four: {after: connect}}}
		d := n.dialer(Config{})
		for i, step := range []struct {
			wait time.Duration
			name string
			more time.Duration
		}{
			{0, "a.example", attemptDelay}, // 250 ms, once
			{0, "a.example", 0},
			{0, "A.example", 0},
			{0, "b.example", quickDelay},
			{time.Minute, "b.example", 0},
			{0, "c.example", quickDelay},
			{0, "d.example", 0}, // IPv4 goes first by now
			{secondFor, "e.example", quickDelay},
			{0, "f.example", 0},
			{doubtfulFor, "a.example", attemptDelay}, // forgotten
		} {
			time.Sleep(step.wait)
			if got, _ := took(t, d, step.name); got-connect != step.more {
				t.Errorf("step %d, %s: %v more, want %v", i, step.name, got-connect, step.more)
			}
		}
		n.hosts[six] = fakeHost{after: connect}
		for _, name := range []string{"g.example", "h.example"} {
			if got, ip := took(t, d, name); got != connect || ip.String() != six {
				t.Errorf("IPv6 is back: %v to %v, want %v to %s", got, ip, connect, six)
			}
		}
		if a := d.history.advise("new.example"); a.standings[1] != trusted || !a.first6 {
			t.Errorf("IPv6 is back: %+v", a)
		}
	})
}

// What is known of a name is used at once, and one that moved or died is found.
func TestHistoryName(t *testing.T) {
	const ms = time.Millisecond
	synctest.Test(t, func(t *testing.T) {
		n := &fakeNet{dns: map[string]fakeAnswer{"ip4": {addrs: []string{four, fourB}}, "ip6": {after: 40 * ms, addrs: []string{six}}},
			hosts: map[string]fakeHost{fourB: {after: 20 * ms}}}
		d := n.dialer(Config{})
		check := func(what, name string, want time.Duration, ip string) {
			t.Helper()
			if got, at := took(t, d, name); got != want || at.String() != ip {
				t.Errorf("%s: %v to %v, want %v to %s", what, got, at, want, ip)
			}
		}
		check("first contact", "a.example", (40+250+10+20+240)*ms, fourB) // AAAA, six, four
		check("known", "a.example", 20*ms, fourB)                         // without waiting for AAAA
		n.hosts[four], n.hosts[fourB] = fakeHost{after: 20 * ms}, fakeHost{err: syscall.ECONNREFUSED}
		check("refused at once", "a.example", 20*ms, four)
		n.dns["ip4"] = fakeAnswer{addrs: []string{fourB}}
		n.hosts[fourB] = fakeHost{after: 20 * ms}
		check("moved within the family", "a.example", 20*ms, fourB)
	})
}

// A family is judged by comparison only, and by several names.
func TestHistoryFamily(t *testing.T) {
	for _, tt := range []struct {
		name   string
		names  int
		v6, v4 fakeHost
		want   standing
	}{
		{"IPv6 is silent for one name", 1, fakeHost{after: time.Hour}, fakeHost{}, doubtful},
		{"for many", 3, fakeHost{after: time.Hour}, fakeHost{}, second},
		{"no route", 3, fakeHost{err: syscall.ENETUNREACH}, fakeHost{}, second},
		{"refused", 3, fakeHost{err: syscall.ECONNREFUSED}, fakeHost{}, trusted},
		{"all down", 3, fakeHost{err: syscall.EHOSTUNREACH}, fakeHost{err: syscall.EHOSTUNREACH}, trusted},
		{"IPv4 had no time", 3, fakeHost{after: attemptDelay + 10*time.Millisecond, err: syscall.ECONNREFUSED}, fakeHost{after: time.Hour}, trusted},
		{"both up", 3, fakeHost{after: 100 * time.Millisecond}, fakeHost{}, trusted},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := &fakeNet{dns: map[string]fakeAnswer{"ip6": {addrs: []string{six, sixB}}, "ip4": {addrs: []string{four}}},
					hosts: map[string]fakeHost{six: tt.v6, sixB: tt.v6, four: tt.v4}}
				if tt.v4.after > 0 {
					n.hosts[sixB] = fakeHost{}
				}
				d := n.dialer(Config{})
				for range 5 {
					for i := range tt.names {
						addr, _ := proxy.NameAddr(fmt.Sprintf("n%d.example", i), 443)
						if c, err := d.DialStream(t.Context(), addr, nil); err == nil {
							c.Close()
						}
					}
				}
				if a := d.history.advise("new.example"); a.standings != [2]standing{trusted, tt.want} || a.first6 == (tt.want == second) {
					t.Errorf("advice %+v, want %v", a, tt.want)
				}
			})
		})
	}
}

func TestHistoryBounded(t *testing.T) {
	h := newHistory()
	ip := netip.MustParseAddr(four)
	for i := range 2 * maxNames {
		h.won(fmt.Sprintf("n%d.example", i), ip, true)
	}
	if n := len(h.young) + len(h.old); n > maxNames || n < maxNames/2 {
		t.Errorf("%d names remembered, want at most %d", n, maxNames)
	}
	if f := h.families[1]; len(f.lost) != lostOften {
		t.Errorf("%d names for which IPv6 lost", len(f.lost))
	}
	if a := h.advise("N" + fmt.Sprint(2*maxNames-1) + ".example"); a.good != ip {
		t.Errorf("the last name is forgotten: %+v", a)
	}
}
