package relay

import (
	"bytes"
	"context"
	"crypto/tls"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tributary/account"
	"tributary/proto/socks"
	"tributary/proxy"
	"tributary/proxy/proxytest"
)

// oneWay is how far clients and servers are from the relay.
const oneWay = 10 * time.Millisecond

// A testRelay is a relay whose final servers are in memory, and its whole log.
type testRelay struct {
	*Relay
	servers *proxytest.Servers
	account account.Account
	log     safeBuffer
	live    context.Context
	end     context.CancelFunc
	clients sync.WaitGroup
}

func newTestRelay(t *testing.T, more func(*Config)) *testRelay {
	t.Helper()
	dir := t.TempDir()
	accounts, err := account.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	r := &testRelay{servers: &proxytest.Servers{Delay: oneWay}}
	r.live, r.end = context.WithCancel(context.Background())
	r.account, _ = accounts.Get(account.Default)
	c := Config{
		Listen: netip.MustParseAddrPort("127.0.0.1:0"), StateDir: dir, Accounts: accounts, Egress: r.servers,
		Log: slog.New(slog.NewTextHandler(&r.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if more != nil {
		more(&c)
	}
	if r.Relay, err = New(c); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.end()
		r.listener.Close()
		if strings.Contains(r.log.String(), r.account.Secret.Text()) {
			t.Error("the log shows the secret")
		}
	})
	return r
}

// connect returns a client's end of a connection that the relay serves.
func (r *testRelay) connect() *proxytest.End {
	near, far := proxytest.Wire(oneWay)
	r.clients.Go(func() { r.ServeConn(r.live, far) })
	return near
}

// connectTLS goes through the TLS handshake too.
func (r *testRelay) connectTLS(t *testing.T) (outer *tls.Conn, below *proxytest.End) {
	t.Helper()
	below = r.connect()
	outer = tls.Client(below, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13})
	if err := outer.Handshake(); err != nil {
		t.Fatal(err)
	}
	return outer, below
}

// inBubble runs f with a relay in virtual time. What f leaves running fails the
// test.
func inBubble(t *testing.T, more func(*Config), f func(t *testing.T, r *testRelay)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newTestRelay(t, more)
		f(t, r)
		r.clients.Wait()
		r.servers.Wait()
		if left := r.limits.byAccount; len(left) > 0 {
			t.Errorf("connections still counted: %v", left)
		}
	})
}

// login is what a client says first.
func (r *testRelay) login(t *testing.T, password string) []byte {
	t.Helper()
	b, err := socks.AppendLogin(nil, r.account.Name, password)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func address(s string) proxy.Addr {
	a, err := proxy.ParseAddr(s)
	if err != nil {
		panic(err)
	}
	return a
}

// A safeBuffer may be written and read at once.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
