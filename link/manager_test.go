package link

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func start(t *testing.T, k *fakeKernel, wants string) (*Manager, func()) {
	t.Helper()
	m, err := newManager(Config{Wanted: wanted(t, wants), StateDir: t.TempDir()}, k, "")
	if err != nil {
		t.Fatal(err)
	}
	return m, serve(t, m)
}

func lines(s string) string { return strings.ReplaceAll(strings.TrimSpace(s), "\t", "") }

func expectSteps(t *testing.T, k *fakeKernel, what, want string) {
	t.Helper()
	if got := k.steps(); got != lines(want) {
		t.Errorf("%s: got\n%s\n\nwant\n%s", what, got, lines(want))
	}
}

// A link that goes loses its endpoint at once; coming back takes the settling time.
func TestDownAndUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newFake(home())
		before, _ := k.observe(nil)
		m, stop := start(t, k, "")
		k.steps()
		changed := m.Changed()
		begin := time.Now()
		const later = time.Hour + resync/2

		k.event(now, func(o *observed) { o.devices[3].carrier = false })
		<-changed
		if d := time.Since(begin); d != 0 {
			t.Errorf("endpoint went after %v", d)
		}
		synctest.Wait()
		expectSteps(t, k, "carrier lost", "ip mptcp endpoint delete 100.64.3.9 dev wwan0 subflow")
		if got := states(m.Links()); got != "eth1 up\nwwan0 down (no carrier)" {
			t.Error(got)
		}
		if since := m.Links()[1].Since; !since.Equal(begin) {
			t.Errorf("since %v", since)
		}

		changed = m.Changed()
		time.Sleep(later) // between two looks
		k.event(soon, func(o *observed) { o.devices[3].carrier = true })
		<-changed
		if d := time.Since(begin); d != later+settle {
			t.Errorf("link came back after %v", d)
		}
		if l := m.Links(); !l[0].Since.Equal(begin) || !l[1].Since.Equal(begin.Add(later+settle)) {
			t.Errorf("eth1 up since %v, wwan0 since %v", l[0].Since, l[1].Since)
		}
		synctest.Wait()
		expectSteps(t, k, "carrier back", "ip mptcp endpoint add 100.64.3.9 dev wwan0 subflow")

		stop()
		after, _ := k.observe(nil)
		if !reflect.DeepEqual(normal(after), normal(before)) {
			t.Errorf("after\n%+v\nbefore\n%+v", after, before)
		}
		if !k.closed {
			t.Error("kernel still open")
		}
	})
}

// normal makes empty lists equal to nil ones.
func normal(o *observed) *observed {
	if len(o.rules) == 0 {
		o.rules = nil
	}
	if len(o.routes) == 0 {
		o.routes = nil
	}
	if len(o.endpoints) == 0 {
		o.endpoints = nil
	}
	return o
}

// Switched off, the kernel drops addresses' routes; on again, no DHCP client
// restores them. The last gateway serves, but only in the same network.
func TestGatewayRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newFake(home())
		m, stop := start(t, k, "")
		defer stop()
		k.steps()
		gone := k.o.defaults[1]
		k.event(now, func(o *observed) {
			o.devices[3].up, o.devices[3].carrier = false, false
			o.defaults = o.defaults[:1]
			o.routes = o.routes[:2] // those of table 7404 went with it
		})
		time.Sleep(2 * settle)
		expectSteps(t, k, "switched off", `
			ip mptcp endpoint delete 100.64.3.9 dev wwan0 subflow
			ip rule del pref 7400 from 100.64.3.9 lookup main suppress_prefixlength 0 protocol 74
			ip rule del pref 7401 from 100.64.3.9 lookup 7404 protocol 74`)
		k.event(soon, func(o *observed) { o.devices[3].up, o.devices[3].carrier = true, true })
		time.Sleep(2 * settle)
		expectSteps(t, k, "on again", `
			ip route replace 100.64.3.8/29 dev wwan0 table 7404 proto 74
			ip route replace default via 100.64.3.10 dev wwan0 table 7404 proto 74
			ip rule add pref 7400 from 100.64.3.9 lookup main suppress_prefixlength 0 protocol 74
			ip rule add pref 7401 from 100.64.3.9 lookup 7404 protocol 74
			ip mptcp endpoint add 100.64.3.9 dev wwan0 subflow`)
		if got := states(m.Links()); got != "eth1 up\nwwan0 up (no default route yet, using the last gateway 100.64.3.10)" {
			t.Error(got)
		}
		k.event(soon, func(o *observed) { o.defaults = append(o.defaults, gone) })
		time.Sleep(2 * settle)
		expectSteps(t, k, "route restored", "")

		k.event(soon, func(o *observed) { o.defaults = o.defaults[:1] })
		time.Sleep(2 * settle)
		if got := states(m.Links()); got != "eth1 up" {
			t.Errorf("a route withdrawn while the link is up ends it; got %s", got)
		}
		if n := len(k.o.endpoints); n != 1 {
			t.Errorf("%d endpoints", n)
		}
		k.event(soon, func(o *observed) { o.defaults = append(o.defaults, gone) })
		time.Sleep(2 * settle)
		k.event(now, func(o *observed) { o.devices[3].up, o.defaults = false, o.defaults[:1] })
		synctest.Wait()
		k.event(soon, func(o *observed) {
			o.devices[3].up, o.devices[3].addrs = true, dev(4, "wwan0", "100.64.9.1/29").addrs
		})
		time.Sleep(2 * settle)
		if got := states(m.Links()); got != "eth1 up\nwwan0 no-route" {
			t.Errorf("another network, so another gateway; got %s", got)
		}
	})
}

func TestAddressChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newFake(home())
		m, stop := start(t, k, "eth1 wwan0")
		defer stop()
		k.steps()
		k.event(now, func(o *observed) { o.devices[3].addrs = nil })
		synctest.Wait()
		if got := states(m.Links()); got != "eth1 up\nwwan0 no-address" {
			t.Error(got)
		}
		k.event(soon, func(o *observed) { o.devices[3].addrs = dev(4, "wwan0", "100.64.3.12/29").addrs })
		time.Sleep(2 * settle)
		if got := k.steps(); !strings.HasPrefix(got, "ip mptcp endpoint delete 100.64.3.9 dev wwan0 subflow\n") ||
			!strings.HasSuffix(got, "\nip mptcp endpoint add 100.64.3.12 dev wwan0 subflow") {
			t.Error(got)
		}
		if a := m.Links()[1].Addrs; len(a) != 1 || a[0] != netip.MustParseAddr("100.64.3.12") {
			t.Error(a)
		}
	})
}

// A link that flaps faster than events settle is left alone until it is quiet.
func TestFlapping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newFake(home())
		m, stop := start(t, k, "")
		defer stop()
		k.steps()
		for i := range 21 {
			s := soon
			if i%2 == 0 {
				s = now
			}
			k.event(s, func(o *observed) { o.devices[3].carrier = i%2 == 1 })
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(time.Second)
		if got := states(m.Links()); got != "eth1 up\nwwan0 down (no carrier)" {
			t.Error(got)
		}
		if got := k.steps(); strings.Count(got, "delete") != 1 || strings.Contains(got, "add") {
			t.Errorf("a flap shorter than the settling time reached the kernel:\n%s", got)
		}
	})
}

// Ours is restored when somebody flushes it, without any event; theirs is not touched.
func TestForeignHands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := home()
		theirs := endpoint{id: 200, addr: netip.MustParseAddr("100.64.3.9")}
		o.endpoints = []endpoint{theirs}
		k := newFake(o)
		m, stop := start(t, k, "")
		if got := states(m.Links()); got != "eth1 up\nwwan0 up (100.64.3.9 already is an endpoint that others made; it is left as it is)" {
			t.Error(got)
		}
		k.mu.Lock()
		k.did, k.o.rules = nil, k.o.rules[:2]
		k.o.endpoints = k.o.endpoints[:1]
		k.o.sysctls[pathClose] = "77"
		k.o.limits = limits{5, 5}
		k.mu.Unlock()
		time.Sleep(resync + settle)
		expectSteps(t, k, "flushed", `
			sysctl -w net.mptcp.close_timeout=300
			ip rule add pref 7400 from 100.64.3.9 lookup main suppress_prefixlength 0 protocol 74
			ip rule add pref 7401 from 100.64.3.9 lookup 7404 protocol 74
			ip mptcp endpoint add 192.168.1.2 dev eth1 subflow`)
		k.mu.Lock()
		k.o.sysctls[pathBlackhole] = "9"
		k.mu.Unlock()
		stop()
		if len(k.o.endpoints) != 1 || k.o.endpoints[0] != theirs {
			t.Errorf("endpoints after the end: %v", k.o.endpoints)
		}
		if k.o.limits != (limits{5, 5}) || k.o.sysctls[pathBlackhole] != "9" || k.o.sysctls[pathClose] != "60" {
			t.Errorf("what others set must stay, the rest go back: %v %v", k.o.limits, k.o.sysctls)
		}
	})
}

// After kill -9 the journal is all there is.
func TestCrash(t *testing.T) {
	k := newFake(home())
	k.o.endpoints = []endpoint{{id: 99, addr: netip.MustParseAddr("192.0.2.9")}}
	before, _ := k.observe(nil)
	dir := t.TempDir()
	if _, err := newManager(Config{StateDir: dir}, k, ""); err != nil {
		t.Fatal(err)
	}
	if len(k.o.endpoints) != 3 {
		t.Fatal(k.o.endpoints)
	}
	m, err := newManager(Config{StateDir: dir, Wanted: []Wanted{{Name: "none0"}}}, k, "")
	if err != nil {
		t.Fatal(err)
	}
	if len(k.o.endpoints) != 1 || len(k.o.rules)+len(k.o.routes) != 0 {
		t.Errorf("left: %v %v %v", k.o.endpoints, k.o.rules, k.o.routes)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if after, _ := k.observe(nil); !reflect.DeepEqual(normal(after), normal(before)) {
		t.Errorf("after\n%+v\nbefore\n%+v", after, before)
	}
	if _, err := os.Stat(filepath.Join(dir, journalName("gateway"))); err == nil {
		t.Error("journal is still there")
	}
}

// After a reboot the journal's values mean nothing.
func TestJournalOfAnotherBoot(t *testing.T) {
	dir := t.TempDir()
	if _, err := newManager(Config{StateDir: dir}, newFake(home()), ""); err != nil {
		t.Fatal(err)
	}
	k := newFake(home())
	k.boot = "boot2"
	k.o.endpoints = []endpoint{{id: 1, addr: netip.MustParseAddr("192.168.1.2"), index: 3, dev: "eth1"}}
	k.o.sysctls[pathClose] = "300"
	m, err := newManager(Config{StateDir: dir}, k, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if len(k.o.endpoints) != 1 || k.o.sysctls[pathClose] != "300" {
		t.Errorf("undid what another boot did: %v %v", k.o.endpoints, k.o.sysctls)
	}
}

func TestBadStateDir(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, journalName("gateway")), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	k := newFake(home())
	if _, err := newManager(Config{StateDir: dir}, k, ""); err == nil || !strings.Contains(err.Error(), "is damaged") {
		t.Errorf("damaged journal: %v", err)
	}
	if _, err := newManager(Config{StateDir: filepath.Join(dir, journalName("gateway"))}, k, ""); err == nil {
		t.Error("state directory is a file: no error")
	}
	if k.steps() != "" || !k.closed {
		t.Error("kernel changed or still open")
	}
}

// A step that fails is shown, does not stop the others, and is tried again.
func TestFailedStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newFake(home())
		k.fail = func(s step) error {
			if strings.HasPrefix(s.String(), "sysctl -w net.mptcp.close") {
				return errors.New("read-only file system")
			}
			return nil
		}
		m, stop := start(t, k, "")
		defer stop()
		if ok, why := m.Managing(); !ok || why != "sysctl -w net.mptcp.close_timeout=300: read-only file system" {
			t.Error(ok, why)
		}
		if len(k.o.endpoints) != 2 {
			t.Error(k.o.endpoints)
		}
		time.Sleep(2*retry - settle)
		k.mu.Lock()
		k.fail = nil
		k.mu.Unlock()
		time.Sleep(retry)
		if ok, why := m.Managing(); !ok || why == "" {
			t.Error("no doubling of the wait")
		}
		time.Sleep(retry)
		if ok, why := m.Managing(); !ok || why != "" {
			t.Error(ok, why)
		}
	})
}

// What fails when somebody asks for it is tried again at once, and then ever more
// seldom, as after an event; and nothing that was for a moment stays.
func TestFailedWish(t *testing.T) {
	blind := func(k *fakeKernel, err error) {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.blind = err
	}
	for what, wish := range map[string]func(*Manager) error{
		"Steer": func(m *Manager) error { return m.Steer(map[string]Part{"eth1": {Role: Standby}}) },
		"Bar":   func(m *Manager) error { return m.Bar(map[netip.Addr]string{netip.MustParseAddr("192.168.1.2"): "why"}) },
		"Set":   func(m *Manager) error { return m.Set(wanted(t, "eth1=backup wwan0")) },
		"Renew": func(m *Manager) error { return m.Renew([]string{"eth1"}) },
	} {
		synctest.Test(t, func(t *testing.T) {
			k := newFake(home())
			m, stop := start(t, k, "")
			defer stop()
			k.steps()
			blind(k, errors.New("dump interrupted"))
			if wish(m) == nil {
				t.Errorf("%s: no error", what)
			}
			blind(k, nil)
			time.Sleep(2 * retry)
			if did := k.steps(); (did == "") != (what == "Renew") {
				t.Errorf("%s: %q was done", what, did)
			}
		})
	}
}

func TestSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newFake(home())
		m, stop := start(t, k, "eth1 wwan0")
		defer stop()
		k.steps()
		changed := m.Changed()
		if err := m.Set(wanted(t, "eth1 wwan0=backup")); err != nil {
			t.Fatal(err)
		}
		<-changed
		expectSteps(t, k, "backup", "ip mptcp endpoint change 100.64.3.9 dev wwan0 subflow backup")
		if err := m.Set([]Wanted{{Name: "lo"}}); err == nil {
			t.Error("lo accepted")
		}
		began := time.Now()
		for range 2 {
			if err := m.Set(wanted(t, "eth1=off wwan0")); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(began); took != drainTime {
			t.Errorf("took %v, want %v once", took, drainTime)
		}
		// It stands by first, for what is on its way over it.
		expectSteps(t, k, "off", `
			ip mptcp endpoint change 192.168.1.2 dev eth1 subflow backup
			ip mptcp endpoint delete 192.168.1.2 dev eth1 subflow backup
			ip mptcp endpoint change 100.64.3.9 dev wwan0 subflow
			ip rule del pref 7400 from 192.168.1.2 lookup main suppress_prefixlength 0 protocol 74
			ip rule del pref 7401 from 192.168.1.2 lookup 7403 protocol 74
			ip route del 192.168.1.0/24 dev eth1 table 7403 proto 74
			ip route del default via 192.168.1.1 dev eth1 table 7403 proto 74`)
		if got := states(m.Links()); got != "eth1 off\nwwan0 up" {
			t.Error(got)
		}
	})
}

// An address that changes daily leaves no trail in the journal.
func TestJournalStaysSmall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newFake(home())
		m, stop := start(t, k, "eth1 wwan0")
		defer stop()
		for i := range 9 {
			k.event(now, func(o *observed) {
				o.devices[3].addrs = dev(4, "wwan0", netip.AddrFrom4([4]byte{100, 64, 4, byte(i + 1)}).String()+"/24").addrs
			})
			time.Sleep(2 * settle)
		}
		b, err := os.ReadFile(m.journal.path)
		if err != nil {
			t.Fatal(err)
		}
		// The one of now and that of eth1.
		if n := strings.Count(string(b), `"addr"`); n != 2 || !strings.Contains(string(b), "100.64.4.9") || !strings.Contains(string(b), "192.168.1.2") {
			t.Errorf("%d endpoints in %s", n, b)
		}
	})
}

func TestObserveOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newFake(home())
		m, err := newManager(Config{StateDir: t.TempDir()}, k, "no right")
		if err != nil {
			t.Fatal(err)
		}
		stop := serve(t, m)
		if ok, why := m.Managing(); ok || why != "no right" {
			t.Error(ok, why)
		}
		k.event(now, func(o *observed) { o.devices[3].up = false })
		synctest.Wait()
		if got := states(m.Links()); got != "eth1 up\nwwan0 down (switched off)" {
			t.Error(got)
		}
		if l := m.Links()[0]; l.Table != 0 {
			t.Error("a table that nobody made:", l.Table)
		}
		stop()
		if s := k.steps(); s != "" {
			t.Error("changed:", s)
		}
	})
}

func TestBadConfig(t *testing.T) {
	for _, c := range []Config{
		{Wanted: []Wanted{{Name: "a"}, {Name: "a", Mode: Off}}},
		{Wanted: []Wanted{{Name: ""}}},
		{Wanted: []Wanted{{Name: "a", Mode: 9}}},
	} {
		if _, err := New(c); err == nil {
			t.Errorf("%v: no error", c)
		}
	}
}

// Two network namespaces may share a state directory: each keeps its own journal.
func TestJournalsOfTwoNamespaces(t *testing.T) {
	dir := t.TempDir()
	var kernels []*fakeKernel
	for _, ns := range []string{"net:[4026531840]", "net:[4026532001]"} {
		k := newFake(home())
		k.boot = "boot1 " + ns
		m, err := newManager(Config{StateDir: dir}, k, "")
		if err != nil {
			t.Fatal(err)
		}
		if len(m.Links()) != 2 || len(k.o.endpoints) != 2 {
			t.Fatalf("%d endpoints", len(k.o.endpoints))
		}
		kernels = append(kernels, k) // and it is killed
	}
	for _, k := range kernels {
		k.steps()
		m, err := newManager(Config{StateDir: dir, Wanted: wanted(t, "eth1")}, k, "")
		if err != nil {
			t.Fatal(err)
		}
		if len(k.o.endpoints) != 1 {
			t.Errorf("%s: the killed one left %v", k.boot, k.o.endpoints)
		}
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("journals are left: %v", left)
	}
}

// Where listing the routes takes seconds, nobody waits for that who only wants a link
// to play another part, nor the failover from a link that is lost; what else happens is
// planned by the routes of now.
func TestRoutesListed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newFake(home())
		m, stop := start(t, k, "")
		defer stop()
		listed := func(what string, want int32) {
			t.Helper()
			synctest.Wait()
			if n := k.listed.Swap(0); n != want {
				t.Errorf("%s: routes listed %d times, want %d", what, n, want)
			}
		}
		listed("start", 1)
		m.Steer(map[string]Part{"wwan0": {Role: Out}})
		m.Bar(map[netip.Addr]string{netip.MustParseAddr("192.168.1.2"): "stripped"})
		m.Renew([]string{"eth1"})
		listed("what others want", 0)
		for range 3 {
			k.event(now, func(o *observed) { o.devices[3].carrier = false })
			listed("lost", 0)
			time.Sleep(settle / 3)
		}
		time.Sleep(settle)
		listed("after a link was lost", 1)
		k.event(soon, func(o *observed) { o.devices[3].carrier = true })
		time.Sleep(2 * settle)
		listed("event", 1)
		k.event(all, func(*observed) {})
		listed("events lost", 1)
		time.Sleep(resync)
		listed("once a minute", 1)
		m.Set(wanted(t, "wwan0"))
		listed("other links", 1)
	})
}
