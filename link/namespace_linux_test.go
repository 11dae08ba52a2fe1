package link

import (
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

const childEnv = "TRIBUTARY_LINK_TEST_CHILD"

// inNamespace runs the calling test again in a process of its own with a fresh network
// namespace, and reports whether this is that process. The other one only passes on
// the outcome.
func inNamespace(t *testing.T) bool {
	t.Helper()
	if os.Getenv(childEnv) != "" {
		if err := netlink.LinkSetUp(mustLink(t, "lo")); err != nil {
			t.Fatal(err)
		}
		return true
	}
	if os.Getuid() != 0 {
		without(t, "needs root for a network namespace")
	}
	if _, err := os.Stat("/proc/sys/net/mptcp"); err != nil {
		without(t, "the kernel has no MPTCP")
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), childEnv+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if strings.Contains(string(out), "--- SKIP") {
		t.Skipf("%s", out)
	}
	t.Logf("%s", out)
	return false
}

// without skips, unless the kernel rung is required.
func without(t *testing.T, why string) {
	t.Helper()
	if slices.Contains(strings.Split(os.Getenv("TRIBUTARY_REQUIRE"), ","), "kernel") {
		t.Fatal(why)
	}
	t.Skip(why)
}

func mustLink(t *testing.T, name string) netlink.Link {
	t.Helper()
	l, err := netlink.LinkByName(name)
	if err != nil {
		t.Fatalf("interface %s: %v", name, err)
	}
	return l
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A far is a second namespace, the Internet of the test.
type far struct {
	ns netns.NsHandle
	h  *netlink.Handle
}

func newFar(t *testing.T) *far {
	t.Helper()
	f := &far{}
	done := make(chan error)
	go func() { // dies with its thread
		runtime.LockOSThread()
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			f.ns, err = netns.Get()
		}
		done <- err
	}()
	must(t, <-done)
	var err error
	f.h, err = netlink.NewHandleAt(f.ns)
	must(t, err)
	lo, err := f.h.LinkByName("lo")
	must(t, err)
	must(t, f.h.LinkSetUp(lo))
	t.Cleanup(func() { f.h.Close(); f.ns.Close() })
	return f
}

// do runs fn in the far namespace.
func (f *far) do(t *testing.T, fn func() error) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := netns.Set(f.ns)
		if err == nil {
			err = fn()
		}
		done <- err
	}()
	must(t, <-done)
}

// wire connects this namespace's device name with the far one. Addresses are ours and theirs;
// theirs is the gateway of a default route with the given metric.
func (f *far) wire(t *testing.T, name string, metric int, pairs ...string) {
	t.Helper()
	must(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: "p" + name}))
	must(t, netlink.LinkSetNsFd(mustLink(t, "p"+name), int(f.ns)))
	peer, err := f.h.LinkByName("p" + name)
	must(t, err)
	must(t, f.h.LinkSetUp(peer))
	must(t, netlink.LinkSetUp(mustLink(t, name)))
	for i := 0; i < len(pairs); i += 2 {
		ours, theirs := parseAddr(t, pairs[i]), parseAddr(t, pairs[i+1])
		must(t, f.h.AddrAdd(peer, theirs))
		must(t, netlink.AddrAdd(mustLink(t, name), ours))
		must(t, netlink.RouteAdd(defaultRoute(t, name, theirs.IP, metric)))
	}
}

func parseAddr(t *testing.T, s string) *netlink.Addr {
	t.Helper()
	a, err := netlink.ParseAddr(s)
	must(t, err)
	a.Flags = unix.IFA_F_NODAD
	return a
}

func defaultRoute(t *testing.T, dev string, gw net.IP, metric int) *netlink.Route {
	t.Helper()
	return &netlink.Route{LinkIndex: mustLink(t, dev).Attrs().Index, Gw: gw, Priority: metric, Family: family(gw)}
}

func family(ip net.IP) int {
	if ip.To4() == nil {
		return netlink.FAMILY_V6
	}
	return netlink.FAMILY_V4
}
