package relay

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"tributary/proto/socks"
	"tributary/proxy"
	"tributary/splice"
)

// A served relay runs on a loopback port, with real sockets and real time.
type served struct {
	*testRelay
	stop   context.CancelFunc
	result chan error
}

func serve(t *testing.T, more func(*Config)) *served {
	t.Helper()
	s := &served{testRelay: newTestRelay(t, more), result: make(chan error, 1)}
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	go func() { s.result <- s.Serve(ctx) }()
	t.Cleanup(stop)
	return s
}

func (s *served) dial(t *testing.T) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(30 * time.Second))
	return c.(*net.TCPConn)
}

// session opens a stream to the address and returns it.
func (s *served) session(t *testing.T, to proxy.Addr) *tls.Conn {
	t.Helper()
	c := tls.Client(s.dial(t), &tls.Config{InsecureSkipVerify: true})
	b, err := socks.AppendOpening(nil, s.account.Name, s.account.Secret.Text(), to, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := socks.ReadLogin(c, s.account.Name); err != nil {
		t.Fatal(err)
	}
	if _, err := socks.ReadReply(c); err != nil {
		t.Fatal(err)
	}
	return c
}

func (s *served) wait(t *testing.T) time.Duration {
	t.Helper()
	began := time.Now()
	select {
	case err := <-s.result:
		if err != nil {
			t.Errorf("Serve: %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("Serve does not return")
	}
	return time.Since(began)
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("never happened: ", what)
		}
	}
}

func echoServer(t *testing.T) proxy.Addr {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				io.Copy(c, c)
			}()
		}
	}()
	return proxy.IPAddr(netip.MustParseAddrPort(l.Addr().String()))
}

func withRealServers(c *Config) { c.Egress, c.AllowPrivate = nil, true }

func TestPortInUse(t *testing.T) {
	r := newTestRelay(t, nil)
	c := r.config
	c.Listen = r.Addr()
	if _, err := New(c); !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), r.Addr().String()) {
		t.Errorf("a second relay on the same port: %v", err)
	}
}

// Over the limit of the whole relay nobody is heard, and those inside go on.
func TestTotalLimit(t *testing.T) {
	s := newTestRelay(t, withRealServers)
	s.limits.total = 2
	ctx, stop := context.WithCancel(context.Background())
	r := &served{testRelay: s, stop: stop, result: make(chan error, 1)}
	go func() { r.result <- r.Serve(ctx) }()
	defer stop()

	first := r.session(t, echoServer(t))
	second := r.dial(t)
	eventually(t, "the second is counted", func() bool {
		r.limits.mu.Lock()
		defer r.limits.mu.Unlock()
		return r.limits.now == 2
	})
	third, err := net.Dial("tcp", s.Addr().String())
	if err == nil { // else the reset was quicker than the dialler
		third.SetDeadline(time.Now().Add(10 * time.Second))
		_, err = third.Read(make([]byte, 1))
		third.Close()
	}
	if !errors.Is(err, syscall.ECONNRESET) && err != io.EOF {
		t.Errorf("the third gets %v", err)
	}
	fmt.Fprint(first, "hello")
	if _, err := io.ReadFull(first, make([]byte, 5)); err != nil {
		t.Errorf("the first session does not go on: %v", err)
	}
	second.Close()
	eventually(t, "the place is free", func() bool {
		r.limits.mu.Lock()
		defer r.limits.mu.Unlock()
		return r.limits.now == 1
	})
	r.session(t, echoServer(t)).Close()
	first.Close()
	stop()
	r.wait(t)
	if r.limits.now != 0 {
		t.Errorf("%d still counted", r.limits.now)
	}
}

// Connections that wait for a request have nothing to finish.
func TestStopWithoutSessionsIsQuick(t *testing.T) {
	s := serve(t, nil)
	silent := s.dial(t)
	warm := tls.Client(s.dial(t), &tls.Config{InsecureSkipVerify: true})
	warm.Write(s.login(t, s.account.Secret.Text()))
	if err := socks.ReadLogin(warm, s.account.Name); err != nil {
		t.Fatal(err)
	}
	s.stop()
	if took := s.wait(t); took > drainTime {
		t.Errorf("took %v", took)
	}
	for name, c := range map[string]net.Conn{"silent": silent, "warm": warm} {
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Errorf("%s: still open", name)
		}
	}
	if _, err := net.Dial("tcp", s.Addr().String()); err == nil {
		t.Error("the port is still open")
	}
}

func TestStopLetsSessionsEnd(t *testing.T) {
	s := serve(t, withRealServers)
	c := s.session(t, echoServer(t))
	s.stop()
	time.Sleep(drainTime / 4)
	fmt.Fprint(c, "last words")
	if _, err := io.ReadFull(c, make([]byte, 10)); err != nil {
		t.Errorf("a session that is open may not end by itself: %v", err)
	}
	c.CloseWrite()
	if _, err := c.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("its end is %v", err)
	}
	if took := s.wait(t); took > drainTime {
		t.Errorf("after the last session has ended it took %v more", took)
	}
}

func TestStopResetsSessionsThatStay(t *testing.T) {
	s := serve(t, withRealServers)
	c := s.session(t, echoServer(t))
	s.stop()
	if took := s.wait(t); took < drainTime/2 || took > 5*drainTime {
		t.Errorf("took %v", took)
	}
	if _, err := c.Read(make([]byte, 1)); err == nil || err == io.EOF {
		t.Errorf("the session's end is %v, want a reset", err)
	}
}

// Sessions of every end leave neither goroutine nor descriptor.
func TestNothingIsLeft(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("counts descriptors in /proc")
	}
	s := serve(t, withRealServers)
	server := echoServer(t)
	use := func() {
		for i := range 20 {
			c := s.session(t, server)
			fmt.Fprint(c, "hello")
			io.ReadFull(c, make([]byte, 5))
			switch i % 3 {
			case 0:
				c.Close()
			case 1:
				c.CloseWrite()
				io.Copy(io.Discard, c)
				c.Close()
			case 2:
				splice.Abort(c.NetConn())
			}
		}
	}
	use() // the first fills caches
	descriptors := func() int {
		fds, _ := os.ReadDir("/proc/self/fd")
		return len(fds)
	}
	quiet := func() bool {
		s.limits.mu.Lock()
		defer s.limits.mu.Unlock()
		return s.limits.now == 0
	}
	eventually(t, "all have gone", quiet)
	time.Sleep(50 * time.Millisecond)
	fds, goroutines := descriptors(), runtime.NumGoroutine()
	use()
	eventually(t, "all have gone", quiet)
	eventually(t, fmt.Sprintf("%d descriptors and %d goroutines again", fds, goroutines), func() bool {
		return descriptors() <= fds && runtime.NumGoroutine() <= goroutines
	})
	if open, total := s.sessions.Counts(); open != 0 || total != 40 {
		t.Errorf("%d sessions open, %d in total", open, total)
	}
}

// Connections of strangers and warm ones cost no looks at what they send, before and
// after they have carried a session.
func TestOnlySessionsAreTrimmed(t *testing.T) {
	s := serve(t, withRealServers)
	held := make(chan net.Conn, 1)
	to := listen(t, func(c net.Conn) { held <- c })
	stranger := s.dial(t)
	if _, err := stranger.Write([]byte{0x16, 3, 1}); err != nil {
		t.Fatal(err)
	}
	g := s.raw(t)
	eventually(t, "both are counted", func() bool {
		s.limits.mu.Lock()
		defer s.limits.mu.Unlock()
		return s.limits.now == 2 && s.limits.known == 1
	})
	if n := s.trimmer.Following(); n != 0 {
		t.Errorf("%d connections are looked at that carry nothing", n)
	}
	if _, err := g.Write(append(rawFrame(socks.AppendOwn(nil, false, proxy.Flow{}, to, nil)), rawFrame(nil)...)); err != nil {
		t.Fatal(err)
	}
	server := <-held
	eventually(t, "the session is looked at", func() bool { return s.trimmer.Following() == 1 })
	server.Close()
	if _, err := g.stream(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "nothing is looked at after it", func() bool { return s.trimmer.Following() == 0 })
}
