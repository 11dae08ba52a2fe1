package load

import (
	"context"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A fake is a SOCKS5 server that answers with these bytes, one answer after each
// message, and reaches the final server if it answered all three.
func fake(t *testing.T, to string, answers ...string) (at netip.AddrPort, reached *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	reached = new(atomic.Int64)
	var sessions sync.WaitGroup
	sessions.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			sessions.Go(func() {
				defer c.Close()
				fakeSession(c, to, answers, reached)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		sessions.Wait()
	})
	return l.Addr().(*net.TCPAddr).AddrPort(), reached
}

func fakeSession(c net.Conn, to string, answers []string, reached *atomic.Int64) {
	lengths := []int{3, len("\x01\x04user\x06secret"), 10}
	var b [64]byte
	for i, a := range answers {
		if _, err := io.ReadFull(c, b[:lengths[i]]); err != nil {
			return
		}
		if i < len(lengths)-1 {
			io.WriteString(c, a)
			continue
		}
		far, err := net.Dial("tcp4", to)
		if err != nil {
			return
		}
		defer far.Close()
		reached.Add(1)
		for _, part := range []string{a[:4], a[4:]} { // as it may come
			io.WriteString(c, part)
		}
		io.Copy(io.Discard, c)
	}
}

func freePort(t *testing.T) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).AddrPort()
}

func config(via, to netip.AddrPort) Config {
	return Config{Via: via, User: "user", Password: "secret", To: to, Clients: 8, For: 200 * time.Millisecond}
}

const granted = "\x05\x00\x00\x01\x7f\x00\x00\x01\x04\x00"

func TestRun(t *testing.T) {
	to := freePort(t)
	for _, multipath := range []bool{false, true} {
		// A server for each: it may still be at work for those that were cut off.
		via, reached := fake(t, to.String(), "\x05\x02", "\x01\x00", granted)
		c := config(via, to)
		c.Multipath = multipath
		r, err := Run(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		got := int(reached.Load())
		if r.Connections < c.Clients || r.Failed != 0 || r.Rate() <= 0 || r.Elapsed < c.For {
			t.Errorf("multipath %v: %+v", multipath, r)
		}
		// Those that were open at the end were cut off.
		if got < r.Connections || got > r.Connections+c.Clients {
			t.Errorf("multipath %v: %d reached the final server, %d counted", multipath, got, r.Connections)
		}
	}
}

func TestRunCountsFailures(t *testing.T) {
	for name, c := range map[string]struct {
		answers []string
		want    string
	}{
		"no method":      {[]string{"\x05\xff"}, "answer 1 is 05ff"},
		"wrong password": {[]string{"\x05\x02", "\x01\x01"}, "answer 2 is 0101"},
		"hung up":        {[]string{"\x05\x02"}, "hung up"},
		"too much":       {[]string{"\x05\x02\x00"}, "answer 1 has 3 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			to := freePort(t)
			via, _ := fake(t, to.String(), c.answers...)
			_, err := Run(t.Context(), config(via, to))
			if err == nil || !strings.Contains(err.Error(), c.want) && !strings.Contains(err.Error(), "reset") {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

func TestRunWhereNobodyListens(t *testing.T) {
	if _, err := Run(t.Context(), config(freePort(t), freePort(t))); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("error %v", err)
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	to := freePort(t)
	via, _ := fake(t, to.String(), "\x05\x02", "\x01\x00", granted)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c := config(via, to)
	c.For = time.Hour
	if _, err := Run(ctx, c); err == nil {
		t.Error("no error")
	}
}

func TestConfigIsChecked(t *testing.T) {
	v6 := netip.MustParseAddrPort("[::1]:1080")
	for _, c := range []Config{
		config(v6, freePort(t)), config(freePort(t), v6), {Via: freePort(t), To: freePort(t)},
	} {
		if _, err := Run(t.Context(), c); err == nil {
			t.Errorf("%+v: no error", c)
		}
	}
}
