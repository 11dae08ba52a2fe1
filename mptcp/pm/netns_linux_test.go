package pm

import (
	"errors"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// inNamespace puts the test into a new network namespace with its loopback up.
// The thread is never unlocked, so it ends with the test, and the namespace with
// it. Needs the rung "kernel".
func inNamespace(t *testing.T) {
	t.Helper()
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		missing(t, "new network namespace: "+err.Error())
	}
	lo, err := netlink.LinkByName("lo")
	if err == nil {
		err = netlink.LinkSetUp(lo)
	}
	if err != nil {
		t.Fatal("loopback up:", err)
	}
	c, err := New()
	if errors.Is(err, ErrUnsupported) {
		missing(t, err.Error())
	}
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

func missing(t *testing.T, why string) {
	t.Helper()
	if slices.Contains(strings.Split(os.Getenv("TRIBUTARY_REQUIRE"), ","), "kernel") {
		t.Fatal("required: ", why)
	}
	t.Skip(why)
}
