package splice

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"syscall"
	"testing"
	"time"
)

// socketPair returns the two ends of a loopback connection, over MPTCP if asked.
func socketPair(t testing.TB, multipath bool) (near, far *net.TCPConn) {
	t.Helper()
	var lc net.ListenConfig
	lc.SetMultipathTCP(multipath)
	l, err := lc.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var d net.Dialer
	d.SetMultipathTCP(multipath)
	c, err := d.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); s.Close() })
	return c.(*net.TCPConn), s.(*net.TCPConn)
}

func testTLSConfig(t testing.TB) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{
		Certificates:           []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
		MinVersion:             tls.VersionTLS13,
		SessionTicketsDisabled: true,
		InsecureSkipVerify:     true,
	}
}

// A leg is one side of a pair: what the pair holds and what a peer holds.
type leg func(t testing.TB) (inner, outer Conn)

func bareLeg(multipath bool) leg {
	return func(t testing.TB) (Conn, Conn) { return twoConns(socketPair(t, multipath)) }
}

func twoConns(a, b *net.TCPConn) (Conn, Conn) { return a, b }

func tlsLeg(multipath bool) leg {
	return func(t testing.TB) (Conn, Conn) {
		config := testTLSConfig(t)
		c, s := socketPair(t, multipath)
		client, server := ClientTLS(c, config), ServerTLS(s, nil, config)
		done := make(chan error, 1)
		go func() { done <- client.Handshake() }()
		if err := server.Handshake(); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		return server, client
	}
}

var legs = map[string]leg{
	"tcp": bareLeg(false), "mptcp": bareLeg(true), "tls": tlsLeg(false), "tls-mptcp": tlsLeg(true), "sealed-mptcp": sealedLeg(true), "framed-mptcp": framedLeg(true),
}

// eachPair runs f over every combination of legs with the pair already running.
func eachPair(t *testing.T, f func(t *testing.T, p *Pair, client, server Conn, result <-chan error)) {
	for cn, cl := range legs {
		for sn, sl := range legs {
			t.Run(cn+"/"+sn, func(t *testing.T) {
				ci, client := cl(t)
				si, server := sl(t)
				p := &Pair{Client: ci, Server: si}
				result := make(chan error, 1)
				go func() { result <- p.Run(context.Background()) }()
				f(t, p, client, server, result)
			})
		}
	}
}

func wait(t *testing.T, result <-chan error) error {
	t.Helper()
	select {
	case err := <-result:
		return err
	case <-time.After(10 * time.Second):
		t.Fatal("the pair did not end")
		return nil
	}
}

func TestBytesArriveWholeBothWays(t *testing.T) {
	const size = 3<<20 + 17
	eachPair(t, func(t *testing.T, p *Pair, client, server Conn, result <-chan error) {
		send := func(c Conn, seed byte) [32]byte {
			data := bytes.Repeat([]byte{seed, seed + 1, 3, 5, 7, 11, 13}, size/7+1)[:size]
			go func() {
				c.Write(data)
				c.CloseWrite()
			}()
			return sha256.Sum256(data)
		}
		up, down := send(client, 1), send(server, 9)
		for _, end := range []struct {
			conn Conn
			want [32]byte
		}{{client, down}, {server, up}} {
			h := sha256.New()
			n, err := io.Copy(h, end.conn)
			if err != nil || n != size || !bytes.Equal(h.Sum(nil), end.want[:]) {
				t.Fatalf("got %d bytes, error %v, or a wrong sum", n, err)
			}
		}
		if err := wait(t, result); err != nil {
			t.Fatal(err)
		}
		if up, down := p.Counts(); up != size || down != size {
			t.Fatalf("counted %d up, %d down, want %d", up, down, size)
		}
	})
}

func TestHalfCloseIsKept(t *testing.T) {
	eachPair(t, func(t *testing.T, _ *Pair, client, server Conn, result <-chan error) {
		fmt.Fprint(client, "ask")
		client.CloseWrite()
		if b, err := io.ReadAll(server); string(b) != "ask" || err != nil {
			t.Fatalf("server read %q, %v", b, err)
		}
		fmt.Fprint(server, "answer after the end of the question")
		server.CloseWrite()
		if b, err := io.ReadAll(client); string(b) != "answer after the end of the question" || err != nil {
			t.Fatalf("client read %q, %v", b, err)
		}
		if err := wait(t, result); err != nil {
			t.Fatal(err)
		}
	})
}

func TestResetArrivesAsReset(t *testing.T) {
	eachPair(t, func(t *testing.T, _ *Pair, client, server Conn, result <-chan error) {
		fmt.Fprint(server, "x")
		io.ReadFull(client, make([]byte, 1))
		Abort(server)
		if _, err := client.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Fatalf("client read: %v, want a reset", err)
		}
		if err := wait(t, result); err == nil {
			t.Fatal("the pair reports a good end")
		}
	})
}

// A client that has ended its sending and goes away is not waited for, though the server
// says nothing.
func TestHalfClosedClientThatGoesEndsThePair(t *testing.T) {
	client, near := socketPair(t, false)
	far, server := socketPair(t, false)
	done := make(chan error, 1)
	go func() { done <- (&Pair{Client: near, Server: far}).Run(t.Context()) }()
	client.CloseWrite()
	if _, err := server.Read(make([]byte, 1)); err != io.EOF {
		t.Fatal(err)
	}
	client.SetLinger(0)
	client.Close() // with a reset
	select {
	case err := <-done:
		if err == nil {
			t.Error("it ended in good order")
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the pair goes on without its client")
	}
}

func TestEndOfTCPInsideTLSIsAReset(t *testing.T) {
	ci, client := bareLeg(false)(t)
	si, server := tlsLeg(false)(t)
	p := &Pair{Client: ci, Server: si}
	result := make(chan error, 1)
	go func() { result <- p.Run(context.Background()) }()
	server.(*TLSConn).NetConn().(*net.TCPConn).CloseWrite() // a FIN with no close_notify
	if _, err := client.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("client read: %v, want a reset", err)
	}
	if err := wait(t, result); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatalf("pair ended with %v", err)
	}
}

func TestContextEndsThePair(t *testing.T) {
	ci, client := bareLeg(true)(t)
	si, _ := bareLeg(false)(t)
	ctx, cancel := context.WithCancel(context.Background())
	p := &Pair{Client: ci, Server: si}
	result := make(chan error, 1)
	go func() { result <- p.Run(ctx) }()
	cancel()
	if err := wait(t, result); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if _, err := client.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("client read: %v, want a reset", err)
	}
}

func TestIdlePairEnds(t *testing.T) {
	ci, client := bareLeg(false)(t)
	si, _ := bareLeg(false)(t)
	p := &Pair{Client: ci, Server: si, Idle: 20 * time.Millisecond}
	result := make(chan error, 1)
	go func() { result <- p.Run(context.Background()) }()
	if _, err := client.Read(make([]byte, 1)); err == nil {
		t.Fatal("read from an idle pair succeeded")
	}
	if err := wait(t, result); !errors.Is(err, ErrIdle) {
		t.Fatal(err)
	}
}

func TestBytesHeldInsideTLSAreNotForgotten(t *testing.T) {
	si, client := tlsLeg(false)(t)
	fmt.Fprint(client, "first, second")
	// Taking part of a record leaves the rest inside crypto/tls, where no socket
	// becomes readable for it.
	if _, err := io.ReadFull(si, make([]byte, 7)); err != nil {
		t.Fatal(err)
	}
	di, server := bareLeg(false)(t)
	go (&Pair{Client: si, Server: di}).Run(context.Background())
	got := make([]byte, 6)
	server.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := io.ReadFull(server, got); err != nil || string(got) != "second" {
		t.Fatalf("read %q, %v", got, err)
	}
}

// A memory stream has no socket: the plain loop carries it.
func TestStreamsWithoutSockets(t *testing.T) {
	a, client := net.Pipe()
	si, server := bareLeg(false)(t)
	p := &Pair{Client: noHalfClose{a}, Server: si}
	result := make(chan error, 1)
	go func() { result <- p.Run(context.Background()) }()
	go fmt.Fprint(client, "hello")
	got := make([]byte, 5)
	if _, err := io.ReadFull(server, got); err != nil || string(got) != "hello" {
		t.Fatalf("read %q, %v", got, err)
	}
	client.Close()
	server.Close()
	wait(t, result)
}

type noHalfClose struct{ net.Conn }

func (c noHalfClose) CloseWrite() error { return c.Close() }
