package fastopen

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// On Linux 6.18 both faults are there, and found in less than 3 s.
func TestCheck(t *testing.T) {
	before, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	cpu := cpuTime(t)
	r, err := Check(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !r.Tested {
		missing(t, r.Why)
	}
	t.Logf("%v (%v / %v, %d beyond the window, %v)", r, r.Normal, r.Download, r.Dropped, r.Took)
	t.Logf("%v of processor time", cpuTime(t)-cpu)
	if r.Took > 3*time.Second {
		t.Errorf("took %v, want less than 3 s", r.Took)
	}
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasPrefix(string(release), "6.18.") && (!r.EarlyWriteLost || !r.DownloadCollapses || r.Safe()) {
		t.Errorf("a known fault of Linux 6.18 was not found: %+v", r)
	}
	if after, err := os.Readlink("/proc/self/ns/net"); after != before || err != nil {
		t.Errorf("network namespace %s became %s", before, after)
	}
}

func TestCheckCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r, err := Check(ctx)
	if err == nil && r.Why != "" {
		missing(t, r.Why)
	}
	if !errors.Is(err, context.Canceled) || r.Safe() || r.Tested {
		t.Errorf("got %+v, %v, want context.Canceled", r, err)
	}
}

func TestAccepted(t *testing.T) {
	err := onLostThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		for value, want := range map[string]bool{"0": false, "1": false, "2": true, "0x603": true} {
			if err := os.WriteFile("/proc/sys/net/ipv4/tcp_fastopen", []byte(value), 0); err != nil {
				return err
			}
			if got := accepted(); got != want {
				t.Errorf("with %s: %v", value, got)
			}
		}
		return nil
	})
	if err != nil {
		missing(t, err.Error())
	}
}

func missing(t *testing.T, why string) {
	t.Helper()
	if slices.Contains(strings.Split(os.Getenv("TRIBUTARY_REQUIRE"), ","), "kernel") {
		t.Fatal("required: ", why)
	}
	t.Skip(why)
}

func cpuTime(t *testing.T) time.Duration {
	var r unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &r); err != nil {
		t.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
