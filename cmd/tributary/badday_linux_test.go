package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"tributary/lab"
	"tributary/proto/socks"
	"tributary/proxy"
)

// Bounds on real clocks. What is promised is 10 s for strangers to say who they
// are, 2 s for the refused to take their answer, and 5 s for clients to be told
// that the relay is down; virtual time holds those to the millisecond.
const (
	strangersGone = 10*time.Second + 2*time.Second + 5*time.Second // a machine that is busy
	relayBack     = 2*time.Second + 2*time.Second
)

// TestBadDays is about what the processes are left with, which needs real ones:
// descriptors, limits of the system, and a relay that is killed.
func TestBadDays(t *testing.T) {
	needs(t, "lab")
	t.Run("strangers", func(t *testing.T) {
		t.Parallel()
		badDay(t, (*site).strangers)
	})
	t.Run("few descriptors", func(t *testing.T) {
		t.Parallel()
		badDay(t, (*site).fewDescriptors)
	})
	t.Run("relay down", func(t *testing.T) {
		t.Parallel()
		badDay(t, (*site).relayDown)
	})
}

func badDay(t *testing.T, f func(*site, *testing.T)) { f(newSite(t), t) }

// descriptors counts the open files of a program.
func (r *running) descriptors(t *testing.T) int {
	t.Helper()
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", r.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(fds)
}

// A port is one of the two that strangers find.
type port struct {
	running    *running
	host, addr string
	insides    map[string]func(c net.Conn) // what they do there
}

func (s *site) ports() []port {
	wrong, _ := socks.AppendLogin(nil, s.link.Account, "not-the-secret")
	inTLS := func(f func(net.Conn)) func(net.Conn) {
		return func(c net.Conn) {
			outer := tls.Client(c, &tls.Config{InsecureSkipVerify: true})
			if outer.Handshake() == nil {
				f(outer)
			}
		}
	}
	say := func(text string) func(net.Conn) { return func(c net.Conn) { io.WriteString(c, text) } }
	slowly := func(text string) func(net.Conn) {
		return func(c net.Conn) {
			for i := range len(text) {
				if _, err := io.WriteString(c, text[i:i+1]); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		}
	}
	endless := func(start, more string) func(net.Conn) {
		return func(c net.Conn) {
			io.WriteString(c, start)
			block := strings.Repeat(more, 1+10_000/len(more))
			for range 100_000 { // a gigabyte
				if _, err := io.WriteString(c, block); err != nil {
					return
				}
			}
		}
	}
	headers := "CONNECT server.lab:80 HTTP/1.1\r\nX-Slow: and very long"
	both := map[string]func(net.Conn){
		"nothing": say(""), "garbage": say("\x01\x02\x03\x04garbage"), "a byte": say("\x05"),
		"endless garbage": endless("", "garbage"), "endless headers": endless("CONNECT a:1 HTTP/1.1\r\n", "X: y\r\n"),
		"slow headers": slowly(headers), "slow SOCKS": slowly("\x05\x05aaaaaaaaaaaaaaaaaaa"),
		"endless SOCKS4": endless("\x04\x01\x00\x50\x00\x00\x00\x01", "user"),
	}
	relay := map[string]func(net.Conn){
		"half a hello": say("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), "oversized record": endless("\x16\x03\x01\xff\xff", "x"),
		"wrong password": inTLS(say(string(wrong))),
	}
	for name, f := range both {
		relay[name], relay[name+" in TLS"] = f, inTLS(f)
	}
	return []port{
		{s.relay, "home", fmt.Sprintf("relay.lab:%d", lab.RelayPort), relay},
		{s.gateway, "home", proxyAddr, both},
	}
}

// strangers of every kind at once, and a crowd that says nothing, are gone in
// bounded time and leave nothing; who has business is served meanwhile.
func (s *site) strangers(t *testing.T) {
	const crowd = 1000
	s.startRelay(t)
	s.startGateway(t)
	s.warm(t)
	s.fetches(t, "before")
	ports := s.ports()
	var before [2]int
	for i, p := range ports {
		before[i] = p.running.descriptors(t)
	}
	logged := [2]int{len(s.relay.log.String()), len(s.gateway.log.String())}

	var all sync.WaitGroup
	for _, p := range ports {
		visit := func(name string, f func(net.Conn)) {
			c, err := s.net.Host(p.host).DialContext(context.Background(), "tcp", p.addr)
			if err != nil {
				t.Errorf("%s: %s: %v", p.addr, name, err)
				return
			}
			all.Go(func() {
				defer c.Close()
				began := time.Now()
				go f(c)
				gone(c)
				if took := time.Since(began); took > strangersGone {
					t.Errorf("%s: %s: open for %v", p.addr, name, took)
				}
			})
		}
		for name, f := range p.insides {
			visit(name, f)
		}
		for range crowd {
			visit("crowd", func(net.Conn) {})
		}
	}
	s.fetches(t, "in the crowd")
	all.Wait()
	s.fetches(t, "afterwards")
	for i, p := range ports {
		until(t, 10*time.Second, fmt.Sprintf("%s has %d descriptors again", p.running.Args[1], before[i]), func() bool {
			return p.running.descriptors(t) <= before[i]
		})
		for line := range strings.Lines(p.running.log.String()[logged[i]:]) {
			if !strings.Contains(line, "level=DEBUG") && !strings.Contains(line, "msg=session") {
				t.Errorf("%s logged: %s", p.running.Args[1], line)
			}
			if strings.Contains(line, s.link.Secret.Text()) {
				t.Errorf("%s logged the secret: %s", p.running.Args[1], line)
			}
		}
	}
}

// gone returns when the other side has closed c, or reads nothing more of it.
func gone(c net.Conn) {
	c.SetReadDeadline(time.Now().Add(time.Minute))
	io.Copy(io.Discard, c)
}

// fetches sees that the system does its job.
func (s *site) fetches(t *testing.T, when string) {
	t.Helper()
	if err := s.fetch(); err != nil {
		t.Errorf("%s: %v", when, err)
	}
}

// fetch goes through gateway and relay to the final server's echo.
func (s *site) fetch() error {
	c, err := s.open()
	if err != nil {
		return err
	}
	defer c.Close()
	return echoes(c)
}

// open opens a stream to the final server's echo.
func (s *site) open() (net.Conn, error) {
	c, err := s.net.Host("home").DialContext(context.Background(), "tcp", proxyAddr)
	if err != nil {
		return nil, err
	}
	c.SetDeadline(time.Now().Add(time.Minute))
	to, err := proxy.NameAddr(lab.ServerName, lab.PortEcho)
	if err == nil {
		var b []byte
		if b, err = socks.AppendOpening(nil, "", "", to, nil); err == nil {
			_, err = c.Write(b)
		}
	}
	if err == nil {
		err = socks.ReadLogin(c, "")
	}
	if err == nil {
		_, err = socks.ReadReply(c)
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

func echoes(c net.Conn) error {
	io.WriteString(c, "hello")
	got := make([]byte, 5)
	if _, err := io.ReadFull(c, got); err != nil || string(got) != "hello" {
		return fmt.Errorf("echo: %q, %w", got, err)
	}
	return nil
}

// fewDescriptors opens 5,000 connections at once to programs that may have 1,024
// descriptors: what is too much is refused cleanly, and the rest goes on.
func (s *site) fewDescriptors(t *testing.T) {
	const limit, crowd = 1024, 5000
	var own syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &own); err != nil || own.Cur < crowd+1000 {
		t.Skipf("this process may have %d descriptors itself", own.Cur)
	}
	limited := func(args ...string) []string {
		return append([]string{"-c", fmt.Sprintf(`ulimit -n %d && exec "$0" "$@"`, limit), s.binary()}, args...)
	}
	s.relay = s.start(t, s.forEver("relay", "sh", limited("relay", "--state", filepath.Join(s.dir, "relay"))...))
	s.readLink(t)
	s.gateway = s.start(t, s.forEver("home", "sh", limited("gateway", "--state", filepath.Join(s.dir, "gateway"), "--join", s.link.Text())...))
	s.warm(t)
	open, err := s.open()
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	for _, p := range []struct {
		running *running
		addr    string
	}{
		{s.relay, fmt.Sprintf("relay.lab:%d", lab.RelayPort)}, {s.gateway, proxyAddr},
	} {
		before := p.running.descriptors(t)
		var mu sync.Mutex
		var inside []net.Conn
		refused, unheard := 0, 0
		var calls sync.WaitGroup
		slots := make(chan struct{}, 64)
		for range crowd {
			calls.Go(func() {
				slots <- struct{}{}
				defer func() { <-slots }()
				ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
				defer cancel()
				c, err := s.net.Host("home").DialContext(ctx, "tcp", p.addr)
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					inside = append(inside, c)
				case errors.Is(err, syscall.ECONNRESET): // before the caller knew that it stood
					refused++
				default:
					unheard++
				}
			})
		}
		calls.Wait()
		// Those refused know it at once; those inside have their 10 s.
		for _, c := range inside {
			c.SetReadDeadline(time.Now().Add(time.Millisecond))
			if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
				continue
			}
			refused++
		}
		if n := p.running.descriptors(t); n > limit {
			t.Errorf("%s: %d descriptors, more than it may have", p.addr, n)
		}
		if stay := crowd - refused - unheard; unheard > 0 || stay < 100 || stay > limit {
			t.Errorf("%s: of %d connections %d were refused, %d stay and %d had no answer", p.addr, crowd, refused, stay, unheard)
		}
		if err := echoes(open); err != nil {
			t.Errorf("%s: an open session does not go on: %v", p.addr, err)
		}
		for _, c := range inside {
			c.Close()
		}
		until(t, 20*time.Second, p.addr+": serves again", func() bool { return s.fetch() == nil })
		until(t, 20*time.Second, fmt.Sprintf("%s: %d descriptors again", p.addr, before), func() bool {
			return p.running.descriptors(t) <= before+2*32 // the pool is larger after a miss
		})
	}
	for _, r := range []*running{s.relay, s.gateway} {
		if text := r.log.String(); strings.Contains(text, "panic") || strings.Contains(text, "level=ERROR") {
			t.Errorf("%s:\n%s", r.Args[1], text)
		}
	}
}

// relayDown: clients are told in time, and served again soon after it is back.
func (s *site) relayDown(t *testing.T) {
	s.startRelay(t)
	s.startGateway(t)
	s.warm(t)
	s.fetches(t, "before")
	s.relay.Process.Kill()
	s.relay.Wait()
	// The final server was reached a moment ago. Until the gateway has heard that the
	// relay is gone, its answer goes out at once, and a reset takes it back.
	began := time.Now()
	if err := s.fetch(); err == nil || time.Since(began) > 5*time.Second {
		t.Errorf("right after the relay went: %v after %v", err, time.Since(began))
	}
	until(t, 5*time.Second, "status says it", func() bool { return s.status(t).Relay.State == "down" })
	for range 3 {
		began := time.Now()
		err := s.fetch()
		if want := socks.Reason(socks.Code(proxy.RelayUnreachable)); err == nil || proxy.ReasonOf(err) != want {
			t.Errorf("while the relay is down: %v", err)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("told after %v", took)
		}
	}
	s.relay = s.start(t, s.forEver("relay", s.binary(), "relay", "--state", filepath.Join(s.dir, "relay")))
	began = time.Now()
	until(t, 20*time.Second, "requests work again", func() bool { return s.fetch() == nil })
	if took := time.Since(began); took > relayBack {
		t.Errorf("worked again after %v", took)
	}
	s.warm(t)
	if took := time.Since(began); took > 2*relayBack {
		t.Errorf("the pool was filled again after %v", took)
	}
}
