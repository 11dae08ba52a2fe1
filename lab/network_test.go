//go:build linux

package lab

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestDefaultRoutesAreThoseOfDHCP(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, Config{})
	home := n.Host("home")
	reaches(t, Dialer{Host: home}, "11.1.0.2")
	reaches(t, Dialer{Host: home, Device: "dsl"}, "11.1.0.2")
	reaches(t, Dialer{Host: home, Device: "lte"}, "11.2.0.2")
	// Without policy rules the second address leaves by the first link, where the
	// provider refuses it.
	reaches(t, Dialer{Host: home, Local: n.Link("lte").Addr(false)}, "")
	reaches(t, Dialer{Host: n.Host("relay")}, "11.100.0.2")
}

func TestManyLinksAndIPv6(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, Config{IPv6: true, Links: []LinkConfig{{"dsl", DSL()}, {"lte", LTE()}, {"cable", Shape{}}}})
	if got := fmt.Sprint(n.Links()); got != "[dsl lte cable]" {
		t.Errorf("links %s", got)
	}
	ctx := testContext(t)
	for _, link := range n.Links() {
		c, err := Dialer{Host: n.Host("home"), Device: link}.DialContext(ctx, "tcp6", "server.lab:7")
		if err != nil {
			t.Errorf("IPv6 by %s: %v", link, err)
			continue
		}
		if host := n.Link(link).Addr(true).String(); !strings.Contains(c.LocalAddr().String(), host) {
			t.Errorf("IPv6 by %s leaves from %v, want %s", link, c.LocalAddr(), host)
		}
		c.Close()
	}
}

func TestBadConfigIsRefused(t *testing.T) {
	for _, links := range [][]LinkConfig{
		{{Name: "relay"}}, {{Name: "a"}, {Name: "a"}}, {{Name: "much-too-long-a-name"}}, {{Name: ""}}, {{Name: "a.b"}},
		{{Name: "a", Shape: Shape{Up: Direction{Loss: 2}}}}, make([]LinkConfig, 100),
	} {
		if n, err := New(t.Context(), Config{Links: links}); err == nil {
			n.Close()
			t.Errorf("links %v were accepted", links)
		} else {
			t.Log(err)
		}
	}
}

func TestTwoNetworksAtOnce(t *testing.T) {
	t.Parallel()
	a, b := newNetwork(t, Config{}), newNetwork(t, Config{})
	reaches(t, Dialer{Host: a.Host("home")}, "11.1.0.2")
	b.Link("dsl").Silence(true)
	b.Link("lte").Silence(true)
	reaches(t, Dialer{Host: a.Host("home")}, "11.1.0.2")
	reaches(t, Dialer{Host: b.Host("home")}, "")
}

// TestCloseLeavesNothing must not run in parallel: it counts what the whole
// process has.
func TestCloseLeavesNothing(t *testing.T) {
	use := func() []string {
		n := newNetwork(t, Config{IPv6: true})
		ctx := testContext(t)
		var inside []string
		for _, h := range n.hosts {
			inside = append(inside, namespaceOf(t, h))
		}
		if err := n.Host("home").Command(ctx, "sleep", "60").Start(); err != nil {
			t.Fatal(err)
		}
		for _, port := range []string{"7", "80", "22"} {
			c, err := n.Host("home").DialContext(ctx, "tcp", "server.lab:"+port)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
		}
		if _, err := Download(ctx, Transfer{Dialer: Dialer{Host: n.Host("home")}, URL: "http://server.lab/bytes?n=1e9", For: 100 * time.Millisecond}); err != nil {
			t.Fatal(err)
		}
		if err := n.Close(); err != nil {
			t.Fatal(err)
		}
		if err := n.Link("dsl").Down(); !errors.Is(err, errClosed) {
			t.Errorf("pulled a link of a closed network: %v", err)
		}
		if err := n.Host("home").Do(func() error { return nil }); !errors.Is(err, errClosed) {
			t.Errorf("worked on a host of a closed network: %v", err)
		}
		return inside
	}
	use() // the runtime opens its poller, the net package its probes
	fds, goroutines := countFDs(t), runtime.NumGoroutine()
	inside := use()
	for deadline := time.Now().Add(3 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		f, g, left := countFDs(t), runtime.NumGoroutine(), users(inside)
		if f <= fds && g <= goroutines && len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			stacks := make([]byte, 1<<16)
			t.Fatalf("%d descriptors before and %d after, %d goroutines before and %d after, namespaces used by %v\n%s",
				fds, f, goroutines, g, left, stacks[:runtime.Stack(stacks, true)])
		}
	}
}

func namespaceOf(t *testing.T, h *Host) (id string) {
	t.Helper()
	if err := h.Do(func() (err error) {
		id, err = os.Readlink("/proc/thread-self/ns/net")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return id
}

func countFDs(t *testing.T) int {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(fds)
}

// users returns what still keeps one of the namespaces: threads and descriptors
// of this process, and other processes.
func users(namespaces []string) (left []string) {
	for _, pattern := range []string{"/proc/self/task", "/proc"} {
		entries, _ := os.ReadDir(pattern)
		for _, e := range entries {
			path := pattern + "/" + e.Name() + "/ns/net"
			id, err := os.Readlink(path)
			for _, ns := range namespaces {
				if err == nil && id == ns {
					left = append(left, path)
				}
			}
		}
	}
	fds, _ := os.ReadDir("/proc/self/fd")
	for _, e := range fds {
		id, _ := os.Readlink("/proc/self/fd/" + e.Name())
		for _, ns := range namespaces {
			if id == ns {
				left = append(left, "fd "+e.Name())
			}
		}
	}
	return left
}
