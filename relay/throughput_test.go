package relay_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"tributary/account"
	"tributary/mptcp"
	"tributary/proto/join"
	"tributary/proto/socks"
	"tributary/proxy"
	"tributary/relay"
	"tributary/splice"
)

// startRelay runs a relay on loopback that trusts it to speak in the clear.
func startRelay(tb testing.TB) (*relay.Relay, join.Link) {
	tb.Helper()
	dir := tb.TempDir()
	accounts, err := account.Open(dir)
	if err != nil {
		tb.Fatal(err)
	}
	r, err := relay.New(relay.Config{
		Listen: netip.MustParseAddrPort("127.0.0.1:0"), Advertise: "127.0.0.1", StateDir: dir, Accounts: accounts,
		AllowPrivate: true, TrustClear: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, PerAccount: 1 << 20,
		Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		tb.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Serve(ctx) }()
	tb.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			tb.Error(err)
		}
	})
	l, err := r.JoinLink(account.Default)
	if err != nil {
		tb.Fatal(err)
	}
	return r, l
}

// startSource runs a final server that sends without end, or waits.
func startSource(tb testing.TB, multipath bool, serve func(net.Conn)) netip.AddrPort {
	tb.Helper()
	l, err := mptcp.Listen(context.Background(), "tcp", "127.0.0.1:0", multipath, nil)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				serve(c)
			}()
		}
	}()
	return l.Addr().(*net.TCPAddr).AddrPort()
}

func endless(c net.Conn) {
	block := make([]byte, 256<<10)
	for {
		if _, err := c.Write(block); err != nil {
			return
		}
	}
}

func dial(tb testing.TB, multipath bool, to netip.AddrPort) *net.TCPConn {
	tb.Helper()
	c, err := (&mptcp.Dialer{Multipath: multipath}).Dial(context.Background(), to)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// through opens a stream to a final server through the relay.
func through(tb testing.TB, relay netip.AddrPort, l join.Link, secure bool, to netip.AddrPort) proxy.Conn {
	tb.Helper()
	var c proxy.Conn = dial(tb, true, relay)
	if secure {
		c = splice.ClientTLS(c, &tls.Config{MinVersion: tls.VersionTLS13, InsecureSkipVerify: true, VerifyConnection: func(s tls.ConnectionState) error {
			if sha256.Sum256(s.PeerCertificates[0].RawSubjectPublicKeyInfo) != l.Pin {
				return errors.New("wrong key")
			}
			return nil
		}})
	}
	opening, err := socks.AppendOpening(nil, l.Account, l.Secret.Text(), proxy.IPAddr(to), nil)
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := c.Write(opening); err != nil {
		tb.Fatal(err)
	}
	if err := socks.ReadLogin(c, l.Account); err != nil {
		tb.Fatal(err)
	}
	if _, err := socks.ReadReply(c); err != nil {
		tb.Fatal(err)
	}
	return c
}

// BenchmarkDownload moves one stream over loopback, with and without the relay,
// in one run: what counts are the ratios. Client, relay and source share the
// machine's processors.
func BenchmarkDownload(b *testing.B) {
	r, l := startRelay(b)
	plain, multi := startSource(b, false, endless), startSource(b, true, endless)
	for _, c := range []struct {
		name string
		open func() net.Conn
	}{
		{"direct-tcp", func() net.Conn { return dial(b, false, plain) }},
		{"direct-mptcp", func() net.Conn { return dial(b, true, multi) }},
		{"relay-clear", func() net.Conn { return through(b, r.Addr(), l, false, plain) }},
		{"relay-tls", func() net.Conn { return through(b, r.Addr(), l, true, plain) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			conn := c.open()
			defer splice.Abort(conn)
			const turn = 16 << 20
			buf := make([]byte, 256<<10)
			b.SetBytes(turn)
			for b.Loop() {
				for n := 0; n < turn; {
					m, err := conn.Read(buf)
					if err != nil {
						b.Fatal(err)
					}
					n += m
				}
			}
		})
	}
}

// childEnv makes the test binary a relay of its own, so that its memory can be
// told from that of clients and servers.
const childEnv = "TRIBUTARY_TEST_RELAY_CHILD"

// TestRelayChild is the child's main: it prints where it is, and at each line of
// input what it holds in bytes.
func TestRelayChild(t *testing.T) {
	if os.Getenv(childEnv) == "" {
		t.Skip("only of use to BenchmarkIdleSession")
	}
	r, l := startRelay(t)
	fmt.Printf("relay %s %s\n", r.Addr(), l.Text())
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		for range 8 { // stacks shrink by half at each collection
			runtime.GC()
		}
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		fmt.Printf("bytes %d %d\n", m.HeapInuse, m.StackInuse)
	}
}

// BenchmarkIdleSession says what an open session that says nothing costs the
// relay: heap and stacks, in a process of its own.
func BenchmarkIdleSession(b *testing.B) {
	const sessions = 400
	child := exec.Command(os.Args[0], "-test.run=^TestRelayChild$")
	child.Env = append(os.Environ(), childEnv+"=1")
	child.Stderr = os.Stderr
	in, err := child.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := child.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := child.Start(); err != nil {
		b.Fatal(err)
	}
	defer child.Wait()
	defer in.Close()
	lines := bufio.NewReader(out)
	var at, text string
	if _, err := fmt.Fscanf(lines, "relay %s %s\n", &at, &text); err != nil {
		b.Fatal(err)
	}
	to := netip.MustParseAddrPort(at)
	l, err := join.Parse(text)
	if err != nil {
		b.Fatal(err)
	}
	held := func() (heap, stack int) {
		fmt.Fprintln(in)
		if _, err := fmt.Fscanf(lines, "bytes %d %d\n", &heap, &stack); err != nil {
			b.Fatal(err)
		}
		return heap, stack
	}
	source := startSource(b, false, func(c net.Conn) { c.Read(make([]byte, 1)) })
	for _, secure := range []bool{false, true} {
		b.Run(map[bool]string{false: "clear", true: "tls"}[secure], func(b *testing.B) {
			for b.Loop() {
				heap0, stack0 := held()
				conns := make([]net.Conn, sessions)
				for i := range conns {
					conns[i] = through(b, to, l, secure, source)
				}
				heap1, stack1 := held()
				b.ReportMetric(float64(heap1-heap0)/sessions, "heap-B/session")
				b.ReportMetric(float64(stack1-stack0)/sessions, "stack-B/session")
				for _, c := range conns {
					splice.Abort(c)
				}
				time.Sleep(200 * time.Millisecond)
			}
		})
	}
}
