package health

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"tributary/proto/probe"
)

const childEnv = "TRIBUTARY_HEALTH_TEST_CHILD"

// inNamespace runs the calling test again in a process with a fresh network namespace,
// and reports whether this is that process; the other one passes on the outcome.
func inNamespace(t *testing.T) bool {
	t.Helper()
	if os.Getenv(childEnv) != "" {
		return true
	}
	if os.Getuid() != 0 {
		if slices.Contains(strings.Split(os.Getenv("TRIBUTARY_REQUIRE"), ","), "kernel") {
			t.Fatal("needs root for a network namespace")
		}
		t.Skip("needs root for a network namespace")
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), childEnv+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
	return false
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// far runs f in a namespace that it makes when there is none yet.
type far struct{ do chan func() }

func newFar(t *testing.T) (far, int) {
	f, id := far{make(chan func())}, make(chan int)
	go func() { // dies with its thread
		runtime.LockOSThread()
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			panic(err)
		}
		id <- unix.Gettid()
		for do := range f.do {
			do()
		}
	}()
	t.Cleanup(func() { close(f.do) })
	return f, <-id
}

func (f far) run(do func()) {
	done := make(chan struct{})
	f.do <- func() { do(); close(done) }
	<-done
}

func device(t *testing.T, name string) netlink.Link {
	l, err := netlink.LinkByName(name)
	must(t, err)
	return l
}

func address(t *testing.T, dev, prefix string) {
	a, err := netlink.ParseAddr(prefix)
	must(t, err)
	must(t, netlink.AddrAdd(device(t, dev), a))
	must(t, netlink.LinkSetUp(device(t, dev)))
}

// wire makes a link: a device, its address and its routing by source.
func wire(t *testing.T, f far, tid, n int) (name string, addr netip.Addr) {
	name = fmt.Sprintf("link%d", n)
	must(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: "p" + name}))
	must(t, netlink.LinkSetNsPid(device(t, "p"+name), tid))
	f.run(func() { address(t, "p"+name, fmt.Sprintf("10.%d.0.254/24", n)) })
	address(t, name, fmt.Sprintf("10.%d.0.1/24", n))
	must(t, netlink.RouteAdd(&netlink.Route{LinkIndex: device(t, name).Attrs().Index, Gw: net.IPv4(10, byte(n), 0, 254), Table: 100 + n}))
	rule := netlink.NewRule()
	rule.Src, rule.Table, rule.Priority = &net.IPNet{IP: net.IPv4(10, byte(n), 0, 1), Mask: net.CIDRMask(32, 32)}, 100+n, 1000+n
	must(t, netlink.RuleAdd(rule))
	return name, netip.AddrFrom4([4]byte{10, byte(n), 0, 1})
}

// echo answers probes after a round trip.
func echo(t *testing.T, c *net.UDPConn, rtt time.Duration) {
	k, b := probe.NewKey(secret), make([]byte, 100)
	for {
		n, from, err := c.ReadFromUDPAddrPort(b)
		if err != nil {
			return
		}
		r, err := k.ReadRequest(b[:n])
		if err != nil {
			t.Error(err)
			continue
		}
		out := k.AppendEcho(nil, probe.Echo{Request: r, Instance: 1})
		time.AfterFunc(rtt, func() { c.WriteToUDPAddrPort(out, from) })
	}
}

// Over real sockets and routes: each link's probes leave by it, a silent death is
// found in time, and so is the return.
func TestKernelSilentDeath(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	f, tid := newFar(t)
	var links []Link
	for n := 1; n <= 4; n++ {
		name, addr := wire(t, f, tid, n)
		links = append(links, Link{Name: name, Addrs: []netip.Addr{addr}})
	}
	relay := netip.MustParseAddrPort("10.9.0.1:8443")
	var served sync.WaitGroup
	var server *net.UDPConn
	f.run(func() {
		address(t, "lo", "10.9.0.1/32")
		var err error
		server, err = net.ListenUDP("udp4", net.UDPAddrFromAddrPort(relay))
		must(t, err)
	})
	served.Go(func() { echo(t, server, 40*time.Millisecond) })

	var mu sync.Mutex
	var decisions []Decision
	told := func() []Decision {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(decisions)
	}
	m := New(Config{
		Decided: func(d Decision) {
			mu.Lock()
			defer mu.Unlock()
			decisions = append(decisions, d)
		},
		Secret: secret, Relay: func() []netip.AddrPort { return []netip.AddrPort{relay} }, Links: func() []Link { return links },
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	ctx, cancel := context.WithCancel(t.Context())
	served.Go(func() { m.Run(ctx) })
	served.Go(func() { // traffic, as far as the monitor knows
		for {
			for _, l := range links {
				m.Busy(l.Name, 1_000_000)
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(200 * time.Millisecond):
			}
		}
	})
	is := func(state State) time.Duration {
		t.Helper()
		begin := time.Now()
		for m.Verdict("link1").State != state {
			if time.Since(begin) > 10*time.Second {
				t.Fatalf("never %s: %+v", state, told())
			}
			time.Sleep(5 * time.Millisecond)
		}
		return time.Since(begin)
	}
	hole := &netlink.Route{Dst: &net.IPNet{IP: net.IPv4(10, 1, 0, 1), Mask: net.CIDRMask(32, 32)}, Type: unix.RTN_BLACKHOLE}
	is(Alive)
	var before, after unix.Rusage
	unix.Getrusage(unix.RUSAGE_SELF, &before)
	begin := time.Now()
	for range 2 {
		time.Sleep(700 * time.Millisecond)
		f.run(func() { must(t, netlink.RouteAdd(hole)) })
		dead := is(Dead)
		time.Sleep(500 * time.Millisecond)
		f.run(func() { must(t, netlink.RouteDel(hole)) })
		t.Logf("dead after %v, back after %v", dead.Round(time.Millisecond), is(Alive).Round(time.Millisecond))
	}
	unix.Getrusage(unix.RUSAGE_SELF, &after)
	cpu := time.Duration(unix.TimevalToNsec(after.Utime) + unix.TimevalToNsec(after.Stime) - unix.TimevalToNsec(before.Utime) - unix.TimevalToNsec(before.Stime))
	t.Logf("%.2f %% of a core, with 4 links probed fast, this test and its relay", 100*cpu.Seconds()/time.Since(begin).Seconds())
	for _, s := range m.Status() {
		if s.RTT < 40*time.Millisecond || s.RTT > time.Second {
			t.Errorf("%+v", s)
		}
	}
	cancel()
	server.Close()
	served.Wait()
	for _, d := range told() {
		t.Logf("%s %s→%s %s: %s", d.Link, d.From, d.To, d.Reason, d.Why)
	}
}
