package mptcp

import (
	"net"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A namespace is a network namespace with a thread of its own in it.
type namespace struct {
	calls chan func()
	fd    int
}

// newNamespace makes a network namespace with its loopback up. It ends with the
// test. Needs the rung "kernel".
func newNamespace(t *testing.T) *namespace {
	t.Helper()
	ns := &namespace{calls: make(chan func())}
	ready := make(chan error)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		runtime.LockOSThread() // for good: the thread ends with its namespace
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			ns.fd, err = unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		}
		ready <- err
		for call := range ns.calls {
			call()
		}
	}()
	t.Cleanup(func() {
		close(ns.calls)
		<-ended
		unix.Close(ns.fd)
	})
	if err := <-ready; err != nil {
		missing(t, "new network namespace: "+err.Error())
	}
	ns.must(t, func() error {
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return err
		}
		return netlink.LinkSetUp(lo)
	})
	var err error
	ns.do(func() { err = Supported() })
	if err != nil {
		missing(t, err.Error())
	}
	return ns
}

func missing(t *testing.T, why string) {
	t.Helper()
	if slices.Contains(strings.Split(os.Getenv("TRIBUTARY_REQUIRE"), ","), "kernel") {
		t.Fatal("required: ", why)
	}
	t.Skip(why)
}

// do runs fn on the thread that is in the namespace. Sockets stay in the
// namespace where they are made, so only making them needs it.
func (ns *namespace) do(fn func()) {
	done := make(chan struct{})
	ns.calls <- func() { defer close(done); fn() }
	<-done
}

func (ns *namespace) must(t *testing.T, fn func() error) {
	t.Helper()
	var err error
	ns.do(func() { err = fn() })
	if err != nil {
		t.Fatal(err)
	}
}

// sysctl sets a value under /proc/sys/net.
func (ns *namespace) sysctl(t *testing.T, name, value string) {
	t.Helper()
	ns.must(t, func() error { return os.WriteFile("/proc/sys/net/"+name, []byte(value), 0) })
}

// opens returns how often the namespace has begun to connect.
func (ns *namespace) opens(t *testing.T) (n int) {
	t.Helper()
	ns.must(t, func() error {
		b, err := os.ReadFile("/proc/thread-self/net/snmp")
		if err != nil {
			return err
		}
		var lines [][]string
		for l := range strings.Lines(string(b)) {
			if f := strings.Fields(l); f[0] == "Tcp:" {
				lines = append(lines, f)
			}
		}
		n, err = strconv.Atoi(lines[1][slices.Index(lines[0], "ActiveOpens")])
		return err
	})
	return n
}

func (ns *namespace) listen(t *testing.T, address string, multipath bool) *net.TCPListener {
	t.Helper()
	var l *net.TCPListener
	ns.must(t, func() (err error) {
		l, err = Listen(t.Context(), "tcp", address, multipath, nil)
		return err
	})
	t.Cleanup(func() { l.Close() })
	return l
}

// link joins two namespaces by a veth pair with the name at both ends and the
// given addresses.
func link(t *testing.T, name string, a *namespace, addrA string, b *namespace, addrB string) {
	t.Helper()
	a.must(t, func() error {
		return netlink.LinkAdd(&netlink.Veth{
			LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: name, PeerNamespace: netlink.NsFd(b.fd),
		})
	})
	for ns, addrs := range map[*namespace]string{a: addrA, b: addrB} {
		ns.must(t, func() error {
			l, err := netlink.LinkByName(name)
			if err != nil {
				return err
			}
			for s := range strings.FieldsSeq(addrs) {
				addr, err := netlink.ParseAddr(s)
				if err != nil {
					return err
				}
				addr.Flags = unix.IFA_F_NODAD
				if err := netlink.AddrAdd(l, addr); err != nil {
					return err
				}
			}
			return netlink.LinkSetUp(l)
		})
	}
}

// eventually waits until ok, at most 10 seconds.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("never happened: ", what)
		}
	}
}
