package resolve

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

const (
	six   = "2606:4700::1"
	four  = "8.8.8.8"
	fourB = "8.8.4.4"
)

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func notFound(err error) bool {
	var dns *net.DNSError
	return errors.As(err, &dns) && dns.IsNotFound
}

// A source counts who asks it.
type source struct {
	asked, ended atomic.Int32
	after, ttl   time.Duration
	err          error
}

func (s *source) ask(ctx context.Context, q question) found {
	n := s.asked.Add(1)
	defer s.ended.Add(1)
	if err := sleep(ctx, s.after); err != nil {
		return found{err: err}
	}
	if s.err != nil {
		return found{err: s.err, ttl: s.ttl}
	}
	ip := netip.AddrFrom4([4]byte{8, 8, 8, byte(n)})
	if q.v6 {
		ip = netip.AddrFrom16([16]byte{0x20, 1, 15: byte(n)})
	}
	return found{[]netip.Addr{ip}, nil, s.ttl}
}

func lookups(t *testing.T, r *Resolver, host string) string {
	t.Helper()
	addrs, err := r.LookupNetIP(t.Context(), "ip4", host)
	if err != nil {
		return err.Error()
	}
	return addrs[0].String()
}

func TestCacheTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{ttl: 30 * time.Second}
		c := over(s.ask, nil)
		for i, step := range []struct {
			wait time.Duration
			host string
			want string
		}{
			{0, "www.example", "8.8.8.1"}, {29 * time.Second, "WWW.Example.", "8.8.8.1"}, {time.Second, "www.example", "8.8.8.2"},
			{0, "a.example", "8.8.8.3"}, {29 * time.Second, "www.example", "8.8.8.2"}, // use does not prolong
			{time.Second, "www.example", "8.8.8.4"},
		} {
			time.Sleep(step.wait)
			if got := lookups(t, c, step.host); got != step.want {
				t.Errorf("step %d: got %s, want %s", i, got, step.want)
			}
		}
		if addrs, err := c.LookupNetIP(t.Context(), "ip6", "www.example"); err != nil || !addrs[0].Is6() {
			t.Errorf("IPv6: %v, %v", addrs, err)
		}
		s.ttl = 0
		time.Sleep(time.Minute)
		if first, second := lookups(t, c, "www.example"), lookups(t, c, "www.example"); first == second {
			t.Error("an answer with TTL 0 was given twice")
		}
		asked := s.asked.Load()
		s.err, s.ttl = notThere(question{name: "none.example"}), 5*time.Second
		for range 3 {
			_, err := c.LookupNetIP(t.Context(), "ip4", "none.example")
			if !notFound(err) {
				t.Errorf("got %v, want no such host", err)
			}
		}
		if n := s.asked.Load() - asked; n != 1 {
			t.Errorf("asked %d times for a name that is not there, want once", n)
		}
		if _, err := c.LookupNetIP(t.Context(), "ip4", "not a name"); !notFound(err) || s.asked.Load()-asked != 1 {
			t.Errorf("asked for what cannot be a name: %v", err)
		}
	})
}

func TestCacheJoins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{after: 100 * time.Millisecond}
		c := over(s.ask, nil)
		got := make(chan error, 100)
		first, cancel := context.WithCancel(t.Context())
		for i := range 100 {
			ctx := t.Context()
			if i < 50 {
				ctx = first
			}
			go func() { _, err := c.LookupNetIP(ctx, "ip4", "www.example"); got <- err }()
		}
		time.Sleep(50 * time.Millisecond)
		cancel()
		gone := 0
		for range 100 {
			if err := <-got; errors.Is(err, context.Canceled) {
				gone++
			} else if err != nil {
				t.Error(err)
			}
		}
		if gone != 50 || s.asked.Load() != 1 {
			t.Errorf("asked %d times, %d gave up; want once and 50", s.asked.Load(), gone)
		}

		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		_, err := c.LookupNetIP(ctx, "ip4", "www.example")
		if dns := (*net.DNSError)(nil); !errors.As(err, &dns) || !dns.IsTimeout || s.ended.Load() != 2 {
			t.Errorf("last one gave up with %v; %d lookups ended, want 2", err, s.ended.Load())
		}
		if len(c.flights) != 0 {
			t.Errorf("%d lookups left", len(c.flights))
		}
	})
}

func TestCacheBounded(t *testing.T) {
	s := &source{ttl: time.Hour}
	c := over(s.ask, nil)
	kept := lookups(t, c, "kept.example")
	for i := range maxCached + maxCached/2 {
		lookups(t, c, fmt.Sprintf("n%d.example", i))
		if i%1000 == 0 && lookups(t, c, "kept.example") != kept {
			t.Fatal("a name in use was forgotten")
		}
	}
	if n := len(c.young) + len(c.old); n > maxCached || n < maxCached/2 {
		t.Errorf("%d answers remembered, want at most %d", n, maxCached)
	}
}

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	resolv, hosts := filepath.Join(dir, "resolv.conf"), filepath.Join(dir, "hosts")
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f := newFiles(resolv, hosts)
	look := func() { f.resolv.next, f.names.next = time.Time{}, time.Time{} }
	servers := func(want string) {
		t.Helper()
		if got := strings.Trim(fmt.Sprint(f.nameservers()), "[]"); got != want {
			t.Errorf("name servers %s, want %s", got, want)
		}
	}
	servers("127.0.0.1:53 [::1]:53")
	s := &source{ttl: time.Hour}
	c := over(s.ask, f)
	one := lookups(t, c, "www.example")

	write(resolv, "# by hand\nsearch example.com\nnameserver 192.0.2.1\nnameserver fe80::1%eth0 # last\nnameserver x\n options ndots:5\n")
	servers("127.0.0.1:53 [::1]:53") // within five seconds
	look()
	servers("192.0.2.1:53 [fe80::1%eth0]:53")
	two := lookups(t, c, "www.example")
	write(resolv, "")
	look()
	servers("192.0.2.1:53 [fe80::1%eth0]:53")
	if three := lookups(t, c, "www.example"); one == two || two != three {
		t.Errorf("answers %s, %s and %s, want new ones with new name servers only", one, two, three)
	}
	write(resolv, "nameserver 1.1.1.1\nnameserver 1.1.1.2\nnameserver 1.1.1.3\nnameserver 1.1.1.4\n")
	look()
	servers("1.1.1.1:53 1.1.1.2:53 1.1.1.3:53")

	asked := s.asked.Load()
	write(hosts, "127.0.0.1 localhost\n10.0.0.9\tPrinter printer.example # old\n2001:db8::9 printer\nnonsense host\n10.0.0.8\n")
	look()
	for _, tt := range []struct{ network, host, want string }{
		{"ip4", "PRINTER", "[10.0.0.9]"}, {"ip6", "printer.", "[2001:db8::9]"}, {"ip4", "printer.example", "[10.0.0.9]"},
		{"ip6", "printer.example", "[]"}, {"ip4", "localhost", "[127.0.0.1]"}, {"ip6", "www.localhost", "[::1]"},
	} {
		addrs, err := c.LookupNetIP(t.Context(), tt.network, tt.host)
		if fmt.Sprint(addrs) != tt.want || (len(addrs) == 0) != notFound(err) {
			t.Errorf("%s of %s: %v, %v, want %s", tt.network, tt.host, addrs, err, tt.want)
		}
	}
	if s.asked.Load() != asked {
		t.Error("asked for names of the hosts file")
	}
}

func FuzzFiles(f *testing.F) {
	f.Add([]byte("nameserver 1.1.1.1\n127.0.0.1 localhost"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if s := parseResolv(text); len(s) > maxServers || slices.ContainsFunc(s, func(a netip.AddrPort) bool { return !a.IsValid() }) {
			t.Errorf("name servers %v", s)
		}
		for name := range parseHosts(text) {
			if again, ok := canonical(name); !ok || again != name {
				t.Errorf("name %q", name)
			}
		}
	})
}
