package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"tributary/mptcp/pm"
)

const childEnv = "TRIBUTARY_CLI_TEST_CHILD"

// namespace runs the calling test again in a process with a fresh network
// namespace, if there is the right to.
func namespace(t *testing.T) int {
	t.Helper()
	if os.Getenv(childEnv) != "" {
		lo, err := netlink.LinkByName("lo")
		if err == nil {
			err = netlink.LinkSetUp(lo)
		}
		if err != nil {
			t.Fatal(err)
		}
		return inOwn
	}
	why := ""
	if os.Getuid() != 0 {
		why = "no root for a network namespace"
	} else if _, err := os.Stat("/proc/sys/net/mptcp"); err != nil {
		why = "the kernel has no MPTCP"
	}
	if why != "" {
		if slices.Contains(strings.Split(os.Getenv("TRIBUTARY_REQUIRE"), ","), "kernel") {
			t.Fatal(why)
		}
		return inPlace
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+strings.ReplaceAll(t.Name(), "/", "$/^")+"$", "-test.v")
	cmd.Env = append(os.Environ(), childEnv+"=1", "GORACE="+gorace)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if strings.Contains(string(out), "--- SKIP") || !strings.Contains(string(out), "--- PASS") {
		t.Fatalf("did not run:\n%s", out)
	}
	t.Logf("%s", out)
	return inAnother
}

// A far is the Internet of a script: a second namespace with the relay and the
// final servers, at the other end of the links.
type far struct {
	ns netns.NsHandle
	h  *netlink.Handle
}

// do runs f in the far namespace, on a thread that dies with it.
func (x *far) do(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := netns.Set(x.ns)
		if err == nil {
			err = f()
		}
		done <- err
	}()
	return <-done
}

// network makes two access links, dsl and lte, to a host with the addresses
// 203.0.113.1, for a relay, and 203.0.113.80, for a final server.
func (s *script) network(ts *testscript.TestScript, neg bool, args []string) {
	x := &far{}
	done := make(chan error)
	go func() { // dies with its thread
		runtime.LockOSThread()
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			x.ns, err = netns.Get()
		}
		done <- err
	}()
	ts.Check(<-done)
	ts.Defer(func() { x.ns.Close() })
	var err error
	x.h, err = netlink.NewHandleAt(x.ns)
	ts.Check(err)
	ts.Defer(x.h.Close)
	lo, err := x.h.LinkByName("lo")
	ts.Check(err)
	ts.Check(x.h.LinkSetUp(lo))
	for _, a := range []string{"203.0.113.1/32", "203.0.113.80/32"} {
		ts.Check(x.h.AddrAdd(lo, address(ts, a)))
	}
	ts.Check(x.wire(ts, "dsl", 100, "192.0.2.2/24", "192.0.2.1/24"))
	ts.Check(x.wire(ts, "lte", 700, "198.51.100.2/24", "198.51.100.1/24"))
	for _, name := range []string{"dsl", "lte"} { // the kernel may take a second to notice
		eventually(ts, name+" up", func() bool {
			l, err := netlink.LinkByName(name)
			ts.Check(err)
			return l.Attrs().OperState == netlink.OperUp
		})
	}
	s.far = x
}

// wire adds a link and a default route over it.
func (x *far) wire(ts *testscript.TestScript, name string, metric int, ours, theirs string) error {
	if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: "p" + name, PeerNamespace: netlink.NsFd(x.ns)}); err != nil {
		return err
	}
	near, err := netlink.LinkByName(name)
	ts.Check(err)
	peer, err := x.h.LinkByName("p" + name)
	ts.Check(err)
	ts.Check(x.h.LinkSetUp(peer))
	ts.Check(netlink.LinkSetUp(near))
	ts.Check(x.h.AddrAdd(peer, address(ts, theirs)))
	ts.Check(netlink.AddrAdd(near, address(ts, ours)))
	gw, _, err := net.ParseCIDR(theirs)
	ts.Check(err)
	return netlink.RouteAdd(&netlink.Route{LinkIndex: near.Attrs().Index, Gw: gw, Priority: metric})
}

func address(ts *testscript.TestScript, s string) *netlink.Addr {
	a, err := netlink.ParseAddr(s)
	ts.Check(err)
	return a
}

// kernel FILE writes down everything that a gateway may change in the kernel. With
// kernel FILE COUNT it waits until there are so many endpoints: a link that has just
// come has none until it was heard.
func (s *script) kernel(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) > 1 {
		eventually(ts, args[1]+" endpoints", func() bool {
			s.kernel(ts, false, args[:1])
			return fmt.Sprint(strings.Count(ts.ReadFile(args[0]), "endpoint ")) == args[1]
		})
		return
	}
	var all []string
	rules, err := netlink.RuleList(netlink.FAMILY_ALL)
	ts.Check(err)
	for _, r := range rules {
		all = append(all, fmt.Sprintf("rule %v protocol %d", r, r.Protocol))
	}
	every := &netlink.Route{Table: unix.RT_TABLE_UNSPEC}
	routes, err := netlink.RouteListFiltered(netlink.FAMILY_V4, every, netlink.RT_FILTER_TABLE)
	ts.Check(err)
	for _, r := range routes {
		all = append(all, fmt.Sprintf("route table %d %v gw %v dev %d protocol %d", r.Table, r.Dst, r.Gw, r.LinkIndex, r.Protocol))
	}
	c, err := pm.New()
	ts.Check(err)
	defer c.Close()
	endpoints, err := c.Endpoints()
	ts.Check(err)
	for _, e := range endpoints {
		all = append(all, fmt.Sprintf("endpoint %v dev %d %v", e.Addr, e.IfIndex, e.Flags))
	}
	limits, err := c.Limits()
	ts.Check(err)
	all = append(all, fmt.Sprintf("limits %+v", limits))
	for _, pattern := range []string{"mptcp/*", "ipv4/tcp_[rw]mem", "ipv4/conf/*/*"} {
		files, err := filepath.Glob("/proc/sys/net/" + pattern)
		ts.Check(err)
		for _, path := range files {
			if v, err := os.ReadFile(path); err == nil { // some can only be written
				all = append(all, path+" "+strings.TrimSpace(string(v)))
			}
		}
	}
	slices.Sort(all)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.Join(all, "\n")+"\n"), 0o600))
}

// signal NAME TERM|INT|KILL
func (s *script) signal(ts *testscript.TestScript, neg bool, args []string) {
	n := unix.SignalNum("SIG" + args[1])
	ts.Check(s.running[args[0]].cmd.Process.Signal(n))
}
