package gateway

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"tributary/proto/join"
	"tributary/proto/socks"
	"tributary/proxy"
	"tributary/proxy/proxytest"
	"tributary/splice"
)

// R is the round trip between gateway and relay, P that between relay and final
// server.
const (
	rtR = 40 * time.Millisecond
	rtP = 20 * time.Millisecond

	// coldTime is TCP, TLS and the login, one round trip each.
	coldTime = 3 * rtR
)

var secretText = base64.RawURLEncoding.EncodeToString([]byte("sixteen bytes !!"))

// A fakeRelay is a relay as the wire shows it: TLS, SOCKS5 with a password, and
// final servers in memory.
type fakeRelay struct {
	servers *proxytest.Servers
	tls     *tls.Config
	link    join.Link

	mu     sync.Mutex
	state  relayState
	dials  int
	ends   []*proxytest.End // the relay's, in the order of dialling
	mute   bool             // takes requests and does not answer
	deaf   int              // how many requests more are answered by a reset
	accept func(proxy.Conn) // if set, takes the streams in place of the final servers
	served sync.WaitGroup
}

type relayState int

const (
	up relayState = iota
	refusing
	silent
)

func newFakeRelay(t testing.TB) *fakeRelay {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	r := &fakeRelay{servers: &proxytest.Servers{Delay: rtP / 2}}
	r.tls = &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
		MinVersion:   tls.VersionTLS13, SessionTicketsDisabled: true,
	}
	r.link, err = join.Parse("tributary://default:" + secretText + "@192.0.2.2:8443?pin=sha256/" +
		base64.RawURLEncoding.EncodeToString(make([]byte, 32)))
	if err != nil {
		t.Fatal(err)
	}
	r.link.Pin = sha256.Sum256(spki)
	return r
}

func (r *fakeRelay) set(s relayState) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state = s
}

func (r *fakeRelay) dialled() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.dials
}

// dial is a Dial over wires in memory.
func (r *fakeRelay) dial(ctx context.Context, _ netip.Addr, _ netip.AddrPort) (net.Conn, error) {
	r.mu.Lock()
	r.dials++
	state := r.state
	r.mu.Unlock()
	if state == silent {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	select {
	case <-time.After(rtR): // the TCP handshake
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if state == refusing {
		return nil, syscall.ECONNREFUSED
	}
	near, far := proxytest.Wire(rtR / 2)
	r.mu.Lock()
	r.ends = append(r.ends, far)
	r.mu.Unlock()
	r.served.Go(func() { r.serve(far) })
	return near, nil
}

// serve takes one connection.
func (r *fakeRelay) serve(c proxy.Conn) {
	defer c.Close()
	s := splice.ServerTLS(c, nil, r.tls)
	first := make([]byte, 2048)
	n, err := s.Read(first)
	if err != nil {
		return
	}
	auth := func(user, password string) (string, bool) {
		return user, user == r.link.Account && password == secretText
	}
	req, err := (&socks.Server{Auth: auth}).Accept(s, first[:n])
	if err != nil {
		return
	}
	r.mu.Lock()
	mute, deaf, accept := r.mute, r.deaf > 0, r.accept
	if deaf {
		r.deaf--
	}
	r.mu.Unlock()
	switch {
	case mute:
		io.Copy(io.Discard, s)
		return
	case deaf:
		splice.Abort(s)
		return
	case accept != nil:
		if stream, err := req.Accept(netip.AddrPort{}); err == nil {
			accept(stream)
		}
		return
	}
	done := make(chan struct{})
	sessions := proxy.Sessions{Dialer: r.servers, Log: slog.New(slog.DiscardHandler)}
	sessions.Serve(context.Background(), req, func() { close(done) })
	<-done
}

// kill resets the first n connections that are open at the relay, or all if n < 0.
func (r *fakeRelay) kill(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.ends) > 0 && n != 0 {
		splice.Abort(r.ends[0])
		r.ends = r.ends[1:]
		n--
	}
}

func (r *fakeRelay) upstream(log *slog.Logger) *upstream {
	return &upstream{
		to: r.link, log: log, dial: r.dial,
		sources: func(bool) []source { return []source{{}} },
		managed: func() bool { return false },
		track:   func(*relayConn) {},
	}
}

// A world is the fake relay, and the gateway's pool and dialer in front of it.
type world struct {
	*fakeRelay
	pool   *pool
	dialer *dialer
	log    safeBuffer
	ctx    context.Context
	end    context.CancelFunc
	result chan error // of the pool
}

func newWorld(t testing.TB) *world {
	w := &world{fakeRelay: newFakeRelay(t), result: make(chan error, 1)}
	w.ctx, w.end = context.WithCancel(context.Background())
	log := slog.New(slog.NewTextHandler(&w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	u := w.upstream(log)
	w.pool = newPool(u.warm, log)
	w.dialer = &dialer{u, w.pool, newMemory(Auto), log}
	return w
}

// inBubble runs f in virtual time. What f leaves running fails the test, once the
// pool has been drained.
func inBubble(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		f(t, w)
		w.end()
		time.Sleep(time.Minute) // last words, and those who linger for them
		w.kill(-1)
		w.served.Wait()
		w.servers.Wait()
		if strings.Contains(w.log.String(), secretText) {
			t.Error("the log shows the secret")
		}
	})
}

// run keeps the pool filled from now on.
func (w *world) run() { go func() { w.result <- w.pool.run(w.ctx) }() }

// fill waits until the pool is at rest.
func (w *world) fill(t *testing.T) {
	t.Helper()
	w.run()
	time.Sleep(5 * time.Second)
	w.wantWarm(t, poolFloor)
}

func (w *world) warm() int {
	_, p := w.pool.status()
	return p.Warm
}

func (w *world) wantWarm(t *testing.T, want int) {
	t.Helper()
	if n := w.warm(); n != want {
		t.Errorf("%d warm connections, want %d", n, want)
	}
}

func address(s string) proxy.Addr {
	a, err := proxy.ParseAddr(s)
	if err != nil {
		panic(err)
	}
	return a
}

// answers is a server that reports what it got, when it has got all.
func answers(c proxy.Conn) {
	b, err := io.ReadAll(c)
	fmt.Fprintf(c, "got %d bytes %.20q, %v", len(b), b, err)
	c.CloseWrite()
	io.Copy(io.Discard, c)
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
