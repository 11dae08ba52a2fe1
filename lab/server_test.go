//go:build linux

package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestServices(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, Config{IPv6: true})
	ctx := testContext(t)
	relay := n.Host("relay")
	client := http.Client{Transport: &http.Transport{DialContext: relay.DialContext, DisableKeepAlives: true}}
	get := func(url string) string {
		t.Helper()
		resp, err := client.Get(url)
		if err != nil {
			t.Error(err)
			return ""
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Error(err)
		}
		return strings.TrimSpace(string(b))
	}
	if got := get("http://server.lab/hello"); got != "hello" {
		t.Errorf("/hello: %q", got)
	}
	if got := get("http://v6.lab:8080/sum?n=5000"); got != Sum(5000) {
		t.Errorf("/sum: %q", got)
	}
	if got := get("http://server.lab/bytes?n=x"); !strings.HasPrefix(got, "want n=") {
		t.Errorf("/bytes?n=x: %q", got)
	}
	if got := get("http://server.lab/seen"); !strings.Contains(got, `"peer":"11.100.0.2:`) || !strings.Contains(got, `"port":8080`) {
		t.Errorf("/seen: %q", got)
	}
	eventually(t, func() error {
		r, err := Download(ctx, Transfer{Dialer: Dialer{Host: relay}, URL: "http://server.lab/slow?rate=1", For: time.Second})
		if err != nil || r.Mbit() < 0.7 || r.Mbit() > 1.2 {
			return fmt.Errorf("/slow: %.2f Mbit/s, want 1 (%w)", r.Mbit(), err)
		}
		return nil
	})
	if _, err := Download(ctx, Transfer{Dialer: Dialer{Host: relay}, URL: "http://server.lab/none"}); err == nil {
		t.Error("a missing page was downloaded")
	}
}

func TestPortsAndDeadEnds(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, Config{})
	relay := n.Host("relay")
	dial := func(addr string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		return relay.DialContext(ctx, "tcp", addr)
	}
	for port, want := range map[string]string{"7": "ping", "22": Banner + "ping"} {
		c, err := relay.DialContext(testContext(t), "tcp", "server.lab:"+port)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(c, "ping")
		c.(*net.TCPConn).CloseWrite()
		if got, err := io.ReadAll(c); string(got) != want || err != nil {
			t.Errorf("port %s says %q, want %q (%v)", port, got, want, err)
		}
		c.Close()
	}
	var timeout net.Error
	if c, err := dial("server.lab:81"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("closed port: %v %v", c, err)
	}
	if c, err := dial("unreachable.lab:80"); !errors.Is(err, syscall.EHOSTUNREACH) {
		t.Errorf("unreachable host: %v %v", c, err)
	}
	if c, err := dial("blackhole.lab:80"); !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("black hole: %v %v", c, err)
	}
	if c, err := dial("nowhere.lab:80"); err == nil {
		t.Errorf("unknown name: %v", c)
	}
}

func TestDNS(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, Config{IPv6: true})
	ctx := testContext(t)
	for _, transport := range []string{"udp", "tcp"} {
		r := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return n.Host("relay").DialContext(ctx, transport, "server.lab:53")
		}}
		for name, want := range map[string]string{
			"www.lab.": "[11.200.0.2 2d00:c8::2]", "V4.lab.": "[11.200.0.2]", "v6.lab.": "[2d00:c8::2]",
			"relay.lab.": "[11.100.0.2 2d00:64::2]", "nowhere.lab.": "[]", "broken.lab.": "[]",
		} {
			as, err := r.LookupNetIP(ctx, "ip", name)
			for i, a := range as {
				as[i] = a.Unmap()
			}
			if len(as) == 2 && as[0].Is6() {
				as[0], as[1] = as[1], as[0]
			}
			if got := strings.TrimSpace(formatAddrs(as)); got != want {
				t.Errorf("%s by %s: %s, want %s (%v)", name, transport, got, want, err)
			}
			var de *net.DNSError
			switch {
			case name == "nowhere.lab." && (!errors.As(err, &de) || !de.IsNotFound):
				t.Errorf("nowhere.lab by %s: %v, want that it does not exist", transport, err)
			case name == "broken.lab." && (!errors.As(err, &de) || de.IsNotFound || !de.IsTemporary):
				t.Errorf("broken.lab by %s: %v, want a failure of the server", transport, err)
			}
		}
	}
}

func formatAddrs(as []netip.Addr) string {
	var s []string
	for _, a := range as {
		s = append(s, a.String())
	}
	return "[" + strings.Join(s, " ") + "]"
}

func FuzzDNSAnswer(f *testing.F) {
	z := zone(names(true))
	f.Add([]byte("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03www\x03lab\x00\x00\x01\x00\x01"))
	f.Add([]byte("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x06broken\x03lab\x00\x00\x1c\x00\x01"))
	f.Fuzz(func(t *testing.T, b []byte) {
		reply, err := z.answer(b, siteTTL)
		if err == nil && (len(reply) < 12 || string(reply[:2]) != string(b[:2]) || reply[2]&0x80 == 0) {
			t.Fatalf("reply % x to % x", reply, b)
		}
	})
}

func TestCommand(t *testing.T) {
	t.Parallel()
	machine, err := os.ReadFile("/etc/hosts")
	if err != nil {
		t.Fatal(err)
	}
	n := newNetwork(t, Config{})
	home := n.Host("home")
	ctx, cancel := context.WithCancel(testContext(t))
	defer cancel()
	out, err := home.Command(ctx, "cat", "/etc/hosts", "/etc/resolv.conf").Output()
	if want := "11.200.0.2 server.lab\nnameserver 11.200.0.2\n"; err != nil || !strings.HasSuffix(string(out), want) {
		t.Errorf("files at home: %q, want the end %q (%v)", out, want, err)
	}
	if again, _ := os.ReadFile("/etc/hosts"); string(again) != string(machine) {
		t.Error("the machine's /etc/hosts changed")
	}
	if out, err := home.Command(ctx, "ls", "/sys/class/net").Output(); string(out) != "dsl\nlo\nlte\n" {
		t.Errorf("interfaces in /sys: %q (%v)", out, err)
	}
	var exit *exec.ExitError
	if err := home.Command(ctx, "sh", "-c", "exit 3").Run(); !errors.As(err, &exit) || exit.ExitCode() != 3 {
		t.Errorf("exit 3: %v", err)
	}
	if err := home.Command(ctx, "/no/such/program").Start(); err == nil {
		t.Error("a missing program started")
	}
	c := home.Command(ctx, "sleep", "60")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := c.Wait(); err == nil {
		t.Error("a program outlived its context")
	}
}

func TestSysctl(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, Config{})
	home := n.Host("home")
	const key = "net.ipv4.tcp_slow_start_after_idle"
	machine, err := os.ReadFile("/proc/sys/net/ipv4/tcp_slow_start_after_idle")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"0", "1"} {
		if err := home.Sysctl(key, want); err != nil {
			t.Fatal(err)
		}
		if got, err := home.ReadSysctl(key); got != want {
			t.Errorf("%s is %q, want %q (%v)", key, got, want, err)
		}
	}
	if again, _ := os.ReadFile("/proc/sys/net/ipv4/tcp_slow_start_after_idle"); string(again) != string(machine) {
		t.Error("the machine's own sysctl changed")
	}
	if err := home.Sysctl("kernel.panic", "0"); err == nil {
		t.Error("a sysctl of the whole machine was set")
	}
}

func TestTransferByProxy(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, Config{})
	home := n.Host("home")
	l, err := home.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	heard := make(chan string, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		b := make([]byte, 100)
		k, _ := c.Read(b)
		heard <- string(b[:k])
	}()
	Download(testContext(t), Transfer{Dialer: Dialer{Host: home}, URL: "http://server.lab/hello", Proxy: "http://" + l.Addr().String()})
	if got := <-heard; !strings.HasPrefix(got, "GET http://server.lab/hello ") {
		t.Errorf("the proxy heard %q", got)
	}
}
