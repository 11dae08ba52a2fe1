//go:build linux

package lab

import (
	"context"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// newNetwork builds a Network for a test, or skips where it cannot be built.
func newNetwork(t testing.TB, c Config) *Network {
	t.Helper()
	needLab(t)
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

// needLab skips a test where the lab cannot run, or fails it where it has to.
func needLab(t testing.TB) {
	t.Helper()
	err := Ready()
	switch required := slices.Contains(strings.Split(os.Getenv("TRIBUTARY_REQUIRE"), ","), "lab"); {
	case err != nil && required:
		t.Fatalf("TRIBUTARY_REQUIRE names lab, but %v", err)
	case err != nil:
		t.Skip(err)
	}
}

// testContext ends well before the test binary's own limit, so that a hang tells
// where it was.
func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// roundTrip sends one datagram to the server's echo and returns the time of the
// answer and the address that it came back to. Silence for 300 ms is an error.
func roundTrip(ctx context.Context, d Dialer) (time.Duration, net.Addr, error) {
	c, err := d.DialContext(ctx, "udp4", "server.lab:7")
	if err != nil {
		return 0, nil, err
	}
	defer c.Close()
	start := time.Now()
	if _, err := c.Write([]byte("ping")); err != nil {
		return 0, nil, err
	}
	c.SetReadDeadline(start.Add(300 * time.Millisecond))
	if _, err := c.Read(make([]byte, 10)); err != nil {
		return 0, nil, err
	}
	return time.Since(start), c.LocalAddr(), nil
}

// reaches fails the test unless an echo comes back to the wanted address; the
// empty want means that none may come back. A busy machine gets several tries.
func reaches(t *testing.T, d Dialer, want string) {
	t.Helper()
	ctx := testContext(t)
	if want == "" {
		if _, addr, err := roundTrip(ctx, d); err == nil {
			t.Errorf("an answer came back to %v, want none", addr)
		}
		return
	}
	_, addr, err := roundTrip(ctx, d)
	for range 9 {
		if err == nil {
			break
		}
		_, addr, err = roundTrip(ctx, d)
	}
	if err != nil {
		t.Errorf("no answer: %v", err)
	} else if host, _, _ := net.SplitHostPort(addr.String()); host != want {
		t.Errorf("answered at %s, want %s", host, want)
	}
}

// eventually gives fn several tries, as figures need a machine that has some time
// for them.
func eventually(t *testing.T, fn func() error) {
	t.Helper()
	err := fn()
	for range 4 {
		if err == nil {
			return
		}
		t.Logf("again: %v", err)
		err = fn()
	}
	if err != nil {
		t.Error(err)
	}
}
