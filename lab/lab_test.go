//go:build linux

package lab

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// newNetwork builds a Network for a test, or skips where it cannot be built.
func newNetwork(t testing.TB, c Config) *Network {
	t.Helper()
	required := slices.Contains(strings.Split(os.Getenv("TRIBUTARY_REQUIRE"), ","), "lab")
	missing := ""
	if os.Geteuid() != 0 {
		missing = "root"
	} else if _, err := os.Stat("/dev/net/tun"); err != nil {
		missing = "/dev/net/tun"
	}
	switch {
	case missing != "" && required:
		t.Fatalf("TRIBUTARY_REQUIRE names lab, but %s is missing", missing)
	case missing != "":
		t.Skipf("the lab needs %s", missing)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	n, err := New(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Errorf("close the network: %v", err)
		}
	})
	return n
}

// testContext ends well before the test binary's own limit, so that a hang tells
// where it was.
func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestSmoke(t *testing.T) {
	start := time.Now()
	n := newNetwork(t, Config{IPv6: true})
	t.Log("built in", time.Since(start))
	ctx := testContext(t)
	out, err := n.Host("home").Command(ctx, "sh", "-c", "ip addr; ip route; ip -6 route; cat /etc/hosts /etc/resolv.conf; ls /sys/class/net; getent hosts www.lab; curl -s http://server.lab/hello").CombinedOutput()
	t.Logf("%s %v", out, err)
	for _, dev := range []string{"dsl", "lte"} {
		r, err := Download(ctx, Transfer{Dialer: Dialer{Host: n.Host("home"), Device: dev}, URL: "http://v4.lab/hello"})
		t.Logf("%s %v %+v", dev, err, r)
		r, err = Download(ctx, Transfer{Dialer: Dialer{Host: n.Host("home"), Device: dev}, URL: "http://server.lab/bytes?n=1e10", For: 3 * time.Second})
		t.Logf("%s %v %.1f %+v", dev, err, r.Mbit(), r)
	}
	r, err := Download(ctx, Transfer{Dialer: Dialer{Host: n.Host("relay")}, URL: "http://server.lab/bytes?n=1e10", For: 3 * time.Second})
	t.Logf("relay %v %.1f %+v", err, r.Mbit(), r)
	r, err = Upload(ctx, Transfer{Dialer: Dialer{Host: n.Host("home")}, URL: "http://server.lab/upload", For: 3 * time.Second})
	t.Logf("up %v %.1f %+v", err, r.Mbit(), r)
	t.Logf("%+v", n.Server().Seen())
}
