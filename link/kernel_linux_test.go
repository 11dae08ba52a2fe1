package link

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"tributary/mptcp/pm"
)

// twoLinks gives this namespace a dual-stack DSL line and an LTE modem.
func twoLinks(t *testing.T) *far {
	t.Helper()
	f := newFar(t)
	f.wire(t, "dsl", 100, "10.0.1.2/24", "10.0.1.1/24", "2001:db8:1::2/64", "2001:db8:1::1/64")
	f.wire(t, "lte", 700, "10.0.2.2/30", "10.0.2.1/30")
	return f
}

// state is everything a manager may touch, read without the code under test.
func state(t *testing.T) string {
	t.Helper()
	var all []string
	rules, err := netlink.RuleList(netlink.FAMILY_ALL)
	must(t, err)
	for _, r := range rules {
		all = append(all, fmt.Sprintf("%v suppress %d protocol %d", r, r.SuppressPrefixlen, r.Protocol))
	}
	every := &netlink.Route{Table: unix.RT_TABLE_UNSPEC}
	routes, err := netlink.RouteListFiltered(netlink.FAMILY_ALL, every, netlink.RT_FILTER_TABLE)
	must(t, err)
	for _, r := range routes {
		if r.Table != unix.RT_TABLE_LOCAL {
			all = append(all, fmt.Sprintf("route %d %v gw %v dev %d scope %d protocol %d", r.Table, r.Dst, r.Gw, r.LinkIndex, r.Scope, r.Protocol))
		}
	}
	c, err := pm.New()
	must(t, err)
	defer c.Close()
	endpoints, err := c.Endpoints()
	must(t, err)
	l, err := c.Limits()
	must(t, err)
	all = append(all, fmt.Sprint(endpoints), fmt.Sprint(l))
	for _, p := range []string{pathBlackhole, pathSynRetrans, pathClose, pathRmem, pathWmem, pathFilter("all"), pathFilter("dsl"), pathFilter("lte")} {
		v, err := os.ReadFile("/proc/sys/" + p)
		must(t, err)
		all = append(all, p+" "+string(v))
	}
	slices.Sort(all)
	return strings.Join(all, "\n")
}

func endpoints(t *testing.T) (addrs []string) {
	t.Helper()
	c, err := pm.New()
	must(t, err)
	defer c.Close()
	all, err := c.Endpoints()
	must(t, err)
	for _, e := range all {
		addrs = append(addrs, fmt.Sprintf("%s %d %s", e.Addr, e.IfIndex, e.Flags))
	}
	slices.Sort(addrs)
	return addrs
}

func sysctlIs(t *testing.T, path, want string) {
	t.Helper()
	if got, err := readSysctl(path); err != nil || got != want {
		t.Errorf("%s is %q, %v; want %q", path, got, err, want)
	}
}

// within waits for ok, and reports how long it took.
func within(t *testing.T, limit time.Duration, what string, ok func() bool) time.Duration {
	t.Helper()
	begin := time.Now()
	for !ok() {
		if time.Since(begin) > limit {
			t.Fatalf("%s: not within %v", what, limit)
		}
		time.Sleep(200 * time.Microsecond)
	}
	return time.Since(begin)
}

func TestKernelApplyAndRestore(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	twoLinks(t)
	must(t, writeSysctl(sysctl{pathFilter("dsl"), "1"}))
	old := parseAddr(t, "2001:db8:0:1::2/64") // comes first, but is deprecated
	old.ValidLft = 3600
	must(t, netlink.AddrAdd(mustLink(t, "dsl"), old))
	before := state(t)
	m, err := New(Config{Wanted: []Wanted{{Name: "dsl"}, {Name: "lte", Mode: Backup}, {Name: "usb0"}}, StateDir: t.TempDir()})
	must(t, err)
	if ok, why := m.Managing(); !ok || why != "" {
		t.Errorf("managing: %v %q", ok, why)
	}
	if got := states(m.Links()); got != "dsl up\nlte up\nusb0 absent" {
		t.Error(got)
	}
	dsl, lte := mustLink(t, "dsl").Attrs().Index, mustLink(t, "lte").Attrs().Index
	want := []string{
		fmt.Sprintf("10.0.1.2 %d subflow", dsl), fmt.Sprintf("10.0.2.2 %d subflow,backup", lte), fmt.Sprintf("2001:db8:1::2 %d subflow", dsl),
	}
	if got := endpoints(t); !slices.Equal(got, want) {
		t.Errorf("endpoints %q, want %q", got, want)
	}
	applied := state(t)
	for _, want := range []string{
		"ip rule 7400: from 10.0.1.2/32 to all table 254  suppress 0 protocol 74",
		fmt.Sprintf("ip rule 7401: from 10.0.1.2/32 to all table %d  suppress -1 protocol 74", TableBase+dsl),
		fmt.Sprintf("ip rule 7401: from 2001:db8:1::2/128 to all table %d  suppress -1 protocol 74", TableBase+dsl),
		fmt.Sprintf("route %d 0.0.0.0/0 gw 10.0.2.1 dev %d scope 0 protocol 74", TableBase+lte, lte),
		fmt.Sprintf("route %d 10.0.2.0/30 gw <nil> dev %d scope 253 protocol 74", TableBase+lte, lte),
		fmt.Sprintf("route %d ::/0 gw 2001:db8:1::1 dev %d scope 0 protocol 74", TableBase+dsl, dsl),
		"{3 0}",
	} {
		if !strings.Contains(applied, want) {
			t.Errorf("missing %q in\n%s", want, applied)
		}
	}
	sysctlIs(t, pathBlackhole, "0")
	sysctlIs(t, pathSynRetrans, "32")
	sysctlIs(t, pathClose, "300")
	sysctlIs(t, pathUnsent, "131072")
	sysctlIs(t, pathFilter("dsl"), "2")
	sysctlIs(t, pathFilter("lte"), "0")
	if v, _ := readSysctl(pathWmem); !strings.HasSuffix(v, "\t16777216") {
		t.Errorf("tcp_wmem %q", v)
	}
	// What leaves from an address of a link leaves by it; local networks are still reached.
	for _, r := range []struct{ from, to, dev string }{{"10.0.2.2", "198.51.100.1", "lte"}, {"10.0.1.2", "198.51.100.1", "dsl"}, {"10.0.1.2", "10.0.2.1", "lte"}} {
		got, err := netlink.RouteGetWithOptions(netip.MustParseAddr(r.to).AsSlice(), &netlink.RouteGetOptions{SrcAddr: netip.MustParseAddr(r.from).AsSlice()})
		must(t, err)
		if got[0].LinkIndex != mustLink(t, r.dev).Attrs().Index {
			t.Errorf("%s from %s leaves by %d, not %s", r.to, r.from, got[0].LinkIndex, r.dev)
		}
	}
	must(t, m.reconcile())
	if again := state(t); again != applied {
		t.Errorf("looking again changed\n%s\nto\n%s", applied, again)
	}
	must(t, m.Close())
	must(t, m.Close())
	if after := state(t); after != before {
		t.Errorf("after\n%s\n\nbefore\n%s", after, before)
	}
}

func TestKernelFollowsLinks(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	f := twoLinks(t)
	m, err := New(Config{StateDir: t.TempDir()})
	must(t, err)
	stop := serve(t, m)
	lte := mustLink(t, "lte")
	has := func(n int) func() bool { return func() bool { return len(endpoints(t)) == n } }
	peer, err := f.h.LinkByName("plte")
	must(t, err)
	cut := []struct {
		name    string
		off, on func() error
	}{
		{name: "carrier", off: func() error { return f.h.LinkSetDown(peer) }, on: func() error { return f.h.LinkSetUp(peer) }},
		{name: "address", off: func() error { return netlink.AddrDel(lte, parseAddr(t, "10.0.2.2/30")) }, on: func() error {
			if err := netlink.AddrAdd(lte, parseAddr(t, "10.0.2.2/30")); err != nil {
				return err
			}
			return netlink.RouteAdd(defaultRoute(t, "lte", netip.MustParseAddr("10.0.2.1").AsSlice(), 700))
		}},
		// Nobody restores the default route this time: the last gateway serves.
		{name: "switch", off: func() error { return netlink.LinkSetDown(lte) }, on: func() error { return netlink.LinkSetUp(lte) }},
	}
	for _, c := range cut {
		var down []time.Duration
		for range 5 {
			must(t, c.off())
			down = append(down, within(t, time.Second, c.name+" off", has(2)))
			must(t, c.on())
			up := within(t, 2*time.Second, c.name+" on", has(3))
			if ok, why := m.Managing(); !ok || why != "" {
				t.Errorf("%s: managing %v %q", c.name, ok, why)
			}
			t.Logf("%s: endpoint deleted after %v, added after %v", c.name, down[len(down)-1], up)
		}
	}
	must(t, netlink.LinkDel(lte))
	t.Logf("interface removed: endpoint deleted after %v", within(t, time.Second, "removed", has(2)))
	within(t, time.Second, "auto link gone", func() bool { return states(m.Links()) == "dsl up" })
	stop()
	if n := len(endpoints(t)); n != 0 {
		t.Errorf("%d endpoints left", n)
	}
}

// A gateway that moves is followed; tables of others are left alone, endpoints are taken
// over and given back.
func TestKernelForeign(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	twoLinks(t)
	c, err := pm.New()
	must(t, err)
	defer c.Close()
	must(t, c.Add(pm.Endpoint{Addr: netip.MustParseAddr("10.0.1.2"), Flags: pm.Subflow | pm.Fullmesh}))
	lte := mustLink(t, "lte").Attrs().Index
	theirs := defaultRoute(t, "lte", netip.MustParseAddr("10.0.2.1").AsSlice(), 5)
	theirs.Table = TableBase + lte
	must(t, netlink.RouteAdd(theirs))
	before := state(t)
	m, err := New(Config{Wanted: wanted(t, "dsl lte"), StateDir: t.TempDir()})
	must(t, err)
	want := fmt.Sprintf(`dsl up (another program had made 10.0.1.2 an endpoint; it is taken over until this one ends)
lte no-route (routing table %d holds routes that others made; it is left as it is)`, TableBase+lte)
	if got := states(m.Links()); got != want {
		t.Error(got)
	}
	if got := endpoints(t); len(got) != 2 || got[0] != fmt.Sprintf("10.0.1.2 %d subflow", mustLink(t, "dsl").Attrs().Index) {
		t.Errorf("endpoints %q", got)
	}
	stop := serve(t, m)
	dsl := mustLink(t, "dsl")
	move := func(from, to string) {
		t.Helper()
		must(t, netlink.RouteAdd(defaultRoute(t, "dsl", netip.MustParseAddr(to).AsSlice(), 50)))
		within(t, 2*time.Second, "gateway "+to, func() bool { return m.Links()[0].Gateway4 == netip.MustParseAddr(to) })
		must(t, netlink.RouteDel(defaultRoute(t, "dsl", netip.MustParseAddr(to).AsSlice(), 50)))
		within(t, 2*time.Second, "gateway "+from, func() bool { return m.Links()[0].Gateway4 == netip.MustParseAddr(from) })
	}
	move("10.0.1.1", "10.0.1.254")
	if ok, why := m.Managing(); !ok || why != "" {
		t.Errorf("managing %v %q", ok, why)
	}
	if got := state(t); !strings.Contains(got, fmt.Sprintf("route %d 0.0.0.0/0 gw 10.0.1.1 ", TableBase+dsl.Attrs().Index)) {
		t.Error(got)
	}
	stop()
	if after := state(t); after != before {
		t.Errorf("after\n%s\n\nbefore\n%s", after, before)
	}
}

// TestKernelCrash kills a process that manages, and starts another one.
func TestKernelCrash(t *testing.T) {
	if dir := os.Getenv("TRIBUTARY_LINK_TEST_VICTIM"); dir != "" {
		_, err := New(Config{StateDir: dir})
		must(t, err)
		fmt.Println("managing")
		must(t, syscall.Kill(os.Getpid(), syscall.SIGKILL))
	}
	if !inNamespace(t) {
		return
	}
	twoLinks(t)
	c, err := pm.New()
	must(t, err)
	must(t, c.Add(pm.Endpoint{Addr: netip.MustParseAddr("192.0.2.1"), Flags: pm.Signal}))
	must(t, c.Close())
	before, dir := state(t), t.TempDir()
	for _, end := range []string{"CleanUp", "New"} {
		cmd := exec.Command(os.Args[0], "-test.run=^TestKernelCrash$")
		cmd.Env = append(os.Environ(), "TRIBUTARY_LINK_TEST_VICTIM="+dir)
		if out, err := cmd.CombinedOutput(); !strings.Contains(string(out), "managing\n") {
			t.Fatalf("victim: %v\n%s", err, out)
		}
		if n := len(endpoints(t)); n != 4 {
			t.Fatalf("%d endpoints after the crash", n)
		}
		if end == "CleanUp" {
			must(t, CleanUp(Config{StateDir: dir}))
		} else {
			m, err := New(Config{StateDir: dir})
			must(t, err)
			if n := len(endpoints(t)); n != 4 {
				t.Errorf("%d endpoints after the new start", n)
			}
			must(t, m.Close())
		}
		if after := state(t); after != before {
			t.Errorf("%s: after\n%s\n\nbefore\n%s", end, after, before)
		}
	}
}

// What cannot be managed is observed, with the reason.
func TestKernelObserveOnly(t *testing.T) {
	if os.Getenv("TRIBUTARY_LINK_TEST_NOCAP") != "" {
		m, err := New(Config{StateDir: "/nonexistent/state"})
		must(t, err)
		_, why := m.Managing()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		must(t, m.Serve(ctx))
		fmt.Printf("because %s\n%s\n", why, states(m.Links()))
		return
	}
	if !inNamespace(t) {
		return
	}
	twoLinks(t)
	before := state(t)
	cmd := exec.Command(os.Args[0], "-test.run=^TestKernelObserveOnly$")
	cmd.Env = append(os.Environ(), "TRIBUTARY_LINK_TEST_NOCAP=1")
	// In a user namespace of its own a process has no right over a network namespace it came with.
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "because link management needs CAP_NET_ADMIN; run as root") || !strings.Contains(string(out), "dsl up\nlte up\n") {
		t.Errorf("without the right: %v\n%s", err, out)
	}
	first, err := New(Config{})
	must(t, err)
	second, err := New(Config{})
	must(t, err)
	if ok, why := second.Managing(); ok || !strings.HasPrefix(why, "another gateway manages") {
		t.Errorf("second: %v %q", ok, why)
	}
	must(t, second.Close())
	if len(endpoints(t)) != 3 {
		t.Error("the second took the first one's endpoints")
	}
	must(t, first.Close())
	must(t, writeSysctl(sysctl{"net/mptcp/enabled", "0"}))
	third, err := New(Config{})
	must(t, err)
	if ok, why := third.Managing(); ok || !strings.Contains(why, "sysctl -w net.mptcp.enabled=1") {
		t.Errorf("MPTCP off: %v %q", ok, why)
	}
	must(t, third.Close())
	if after := state(t); after != before {
		t.Errorf("after\n%s\n\nbefore\n%s", after, before)
	}
}

// On a router with many routes a link is steered without listing them, and what the
// list of before no longer shows is noticed in time.
func TestKernelManyRoutes(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	twoLinks(t)
	dsl := mustLink(t, "dsl").Attrs().Index
	for i := range 30_000 {
		to := &net.IPNet{IP: net.IPv4(11, byte(i>>8), byte(i), 0), Mask: net.CIDRMask(24, 32)}
		must(t, netlink.RouteAdd(&netlink.Route{Dst: to, Gw: net.IPv4(10, 0, 1, 1), LinkIndex: dsl, Protocol: unix.RTPROT_BGP}))
	}
	m, err := New(Config{StateDir: t.TempDir()})
	must(t, err)
	least := func(do func(i int)) time.Duration {
		best := time.Hour
		for i := range 10 {
			begin := time.Now()
			do(i)
			best = min(best, time.Since(begin))
		}
		return best
	}
	look := least(func(int) { m.kernel.refresh(); must(t, m.reconcile()) })
	steer := least(func(i int) { must(t, m.Steer(map[string]Part{"lte": {Role: Role(i % 3)}})) })
	t.Logf("a look takes %v, a change of part %v", look, steer)
	if steer > look/4 {
		t.Errorf("a change of part takes %v, a look with all routes %v", steer, look)
	}
	table := TableBase + mustLink(t, "lte").Attrs().Index
	stop := serve(t, m)
	must(t, netlink.RouteDel(&netlink.Route{Table: table, Dst: &net.IPNet{IP: net.IPv4zero, Mask: net.CIDRMask(0, 32)}, LinkIndex: table - TableBase}))
	within(t, 2*time.Second, "route of ours restored", func() bool {
		routes, err := netlink.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{Table: table}, netlink.RT_FILTER_TABLE)
		return err == nil && len(routes) == 2
	})
	stop()
}
