package egress

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"tributary/proxy"
)

// A fastTest dials final servers that send back what they get.
type fastTest struct {
	*testing.T
	*wire
	d     *Dialer
	early []byte
}

func newFastTest(t *testing.T) *fastTest {
	w := newWire(t)
	f := &fastTest{T: t, wire: w, early: hello(t, false)}
	f.forget()
	return f
}

// forget takes a new Dialer.
func (f *fastTest) forget() {
	f.d = New(Config{AllowPrivate: true, Log: slog.New(slog.NewTextHandler(f.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))})
}

func (f *fastTest) echo(addr string, fastOpen bool) netip.AddrPort {
	return f.serve(f.T, addr, fastOpen, func(c net.Conn) { io.Copy(c, c) })
}

// A timing is what a session took until the stream was open and until the first byte came
// back, and the SYNs that it sent to its server.
type timing struct {
	open, first time.Duration
	syns        []packet
}

// dial opens a session and sees that its early data comes back once, whole.
func (f *fastTest) dial(to netip.AddrPort) (r timing) {
	f.Helper()
	begun := time.Now()
	c, err := f.d.DialStream(f.Context(), proxy.IPAddr(to), f.early)
	if err != nil {
		f.Error(err)
		return r
	}
	defer c.Close()
	r.open = time.Since(begun)
	if err := c.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		f.Error(err)
	}
	b := make([]byte, len(f.early))
	n, err := c.Read(b)
	r.first = time.Since(begun)
	if err == nil {
		_, err = io.ReadFull(c, b[n:])
	}
	c.CloseWrite()
	if rest, _ := io.ReadAll(c); err != nil || !bytes.Equal(b, f.early) || len(rest) > 0 {
		f.Errorf("%v: got %d bytes back and %d more, %v; want the hello once", to, len(b), len(rest), err)
	}
	if r.open < 2*wireDelay {
		f.Errorf("%v: open after %v, before the server could answer", to, r.open)
	}
	for _, p := range f.syns() {
		if p.to == to.Addr() {
			r.syns = append(r.syns, p)
		}
	}
	return r
}

// The second TLS connection to a server that takes it saves a round trip, over
// IPv4 and IPv6. Without Fast Open there is no first byte before two round trips.
func TestKernelFastOpen(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	f := newFastTest(t)
	for _, addr := range []string{"10.8.1.1", "fd08:1::1"} {
		to := f.echo(addr, true)
		r := f.dial(to)
		if len(r.syns) != 1 || !r.syns[0].option || r.syns[0].cookie || r.first < 4*wireDelay {
			t.Errorf("%s, first: %+v", addr, r)
		}
		saved := false
		for range 5 { // the machine may be busy
			r = f.dial(to)
			t.Logf("%s: open after %v, first byte after %v", addr, r.open, r.first)
			if len(r.syns) != 1 || !r.syns[0].cookie || r.syns[0].data != len(f.early) {
				t.Errorf("%s, second: %+v", addr, r)
			}
			if saved = r.first < 4*wireDelay; saved {
				break
			}
		}
		if !saved {
			t.Errorf("%s: the first byte never came before two round trips", addr)
		}
	}
	// What might be a request, or is none of a server that takes it, leaves later.
	f.early = []byte("GET / HTTP/1.1\r\n\r\n")
	if r := f.dial(f.echo("10.8.1.1", true)); len(r.syns) != 1 || r.syns[0].option || r.first < 4*wireDelay {
		t.Errorf("HTTP: %+v", r)
	}
	f.early = hello(t, false)
	off := f.echo("10.8.2.1", false)
	for range 3 {
		if r := f.dial(off); len(r.syns) != 1 || r.syns[0].data > 0 || r.first > time.Second {
			t.Errorf("server without: %+v", r)
		}
	}
	// Where the host's administrator wants none, there is none.
	if err := os.WriteFile("/proc/sys/net/ipv4/tcp_fastopen", []byte("0"), 0); err != nil {
		t.Fatal(err)
	}
	if r := f.dial(f.echo("10.8.1.1", true)); len(r.syns) != 1 || r.syns[0].option {
		t.Errorf("switched off: %+v", r)
	}
}

// A server that does not take the data gets it after the handshake, at no cost.
func TestKernelFastOpenNotTaken(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	f := newFastTest(t)
	to := f.echo("10.8.1.1", true)
	f.dial(to)
	for what, change := range map[string][2]string{
		"another key":  {"tcp_fastopen_key", "1-2-3-4"},
		"switched off": {"tcp_fastopen", "1"},
	} {
		f.sysctl(t, "ipv4/"+change[0], change[1])
		r := f.dial(to)
		t.Logf("%s: open after %v, first byte after %v", what, r.open, r.first)
		if len(r.syns) != 1 || r.syns[0].data != len(f.early) || r.first < 4*wireDelay || r.first > 900*time.Millisecond {
			t.Errorf("%s: %+v", what, r)
		}
	}
	if !f.d.syns.may(to.Addr()) {
		t.Error("a server that does not take it counts as a failure")
	}
	f.sysctl(t, "ipv4/tcp_fastopen", "3")
	f.dial(to) // brings a new cookie if need be
	if r := f.dial(to); len(r.syns) != 1 || r.syns[0].data != len(f.early) {
		t.Errorf("afterwards: %+v", r)
	}
}

// A middlebox that drops SYNs with data, or with the option, costs a second once
// for a network; after three networks the line is known, and another line is not
// concerned.
func TestKernelFastOpenDropped(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	f := newFastTest(t)
	for _, tt := range []struct {
		what     string
		fastOpen bool // servers give cookies
		drops    func(packet) bool
	}{
		{"option", false, func(p packet) bool { return p.option }},
		{"data", true, func(p packet) bool { return p.syn && p.data > 0 }},
	} {
		f.forget()
		var servers []netip.AddrPort
		for _, addr := range farAddrs {
			to := f.echo(addr, tt.fastOpen)
			if servers = append(servers, to); tt.fastOpen {
				f.dial(to)
			}
		}
		f.middlebox(func(p packet) verdict {
			if tt.drops(p) {
				return drop
			}
			return pass
		})
		var dials sync.WaitGroup
		for _, to := range servers[:3] {
			dials.Go(func() {
				if r := f.dial(to); r.first < 900*time.Millisecond {
					t.Errorf("%s: answer from %v after %v", tt.what, to, r.first)
				}
			})
		}
		dials.Wait()
		f.syns()
		for i, to := range servers {
			r := f.dial(to)
			if four := i < 4; r.first < 900*time.Millisecond != four || len(r.syns) == 0 || r.syns[0].option == four {
				t.Errorf("%s, once known: %v: %+v", tt.what, to, r)
			}
		}
		f.middlebox(nil)
	}
}

// A middlebox that resets SYNs with data costs a round trip, once.
func TestKernelFastOpenReset(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	f := newFastTest(t)
	to := f.echo("10.8.1.1", true)
	f.dial(to)
	f.middlebox(func(p packet) verdict {
		if p.syn && p.data > 0 {
			return reset
		}
		return pass
	})
	if r := f.dial(to); len(r.syns) != 2 || r.syns[0].data == 0 || r.syns[1].option {
		t.Errorf("first: %+v", r)
	}
	if r := f.dial(to); len(r.syns) != 1 || r.syns[0].option {
		t.Errorf("second: %+v", r)
	}
	f.middlebox(nil)

	// The truth about a port that refuses is known after the ordinary SYN.
	f.forget()
	closed := netip.AddrPortFrom(to.Addr(), 9)
	_, err := f.d.DialStream(t.Context(), proxy.IPAddr(closed), f.early)
	checkError(t, err, proxy.Refused, "connection refused")
	if !f.d.syns.may(to.Addr()) {
		t.Error("a port that refuses counts as a middlebox")
	}
}

// Nobody answers: the error is the one of any connect, in time.
func TestKernelFastOpenSilence(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	f := newFastTest(t)
	to := f.echo("10.8.1.1", true)
	f.dial(to)
	f.middlebox(func(packet) verdict { return drop })
	f.d.timeout = 300 * time.Millisecond
	begun := time.Now()
	_, err := f.d.DialStream(t.Context(), proxy.IPAddr(to), f.early)
	checkError(t, err, proxy.TimedOut, "")
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
	if f.d.syns.may(to.Addr()) {
		t.Error("silence was not remembered")
	}
	f.forget()
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	_, err = f.d.DialStream(ctx, proxy.IPAddr(to), f.early)
	checkError(t, err, proxy.Failed, "canceled")
	if !f.d.syns.may(to.Addr()) {
		t.Error("a client's impatience counts as silence")
	}
	f.middlebox(nil)
}

// No data reaches this host itself before the policy has seen where the
// connection went.
func TestKernelFastOpenSelf(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	newWire(t)
	if err := os.WriteFile("/proc/sys/net/ipv4/tcp_fastopen", []byte("1543"), 0); err != nil { // without cookies, all listeners
		t.Fatal(err)
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	got := make(chan int, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			got <- -1
			return
		}
		defer c.Close()
		n, _ := c.Read(make([]byte, 1))
		got <- n
	}()
	r := dialFast(t.Context(), l.Addr().(*net.TCPAddr).AddrPort(), hello(t, false))
	if r.err != nil || r.data || r.sent {
		t.Fatalf("%+v", r)
	}
	r.conn.Close()
	if n := <-got; n != 0 {
		t.Errorf("%d bytes arrived", n)
	}
}
