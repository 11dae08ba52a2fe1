package gateway

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tributary/proto/socks"
	"tributary/proxy/proxytest"
)

// What clients do on the gateway's port: each is closed in bounded time, and is no
// news. The bubble fails when a goroutine stays behind.
func TestStrangeClients(t *testing.T) {
	const farewell = 2 * time.Second // to take a refusal
	drip := func(c io.Writer, b []byte) {
		for i := range b {
			if _, err := c.Write(b[i : i+1]); err != nil {
				return
			}
			time.Sleep(time.Second)
		}
	}
	flood := func(c io.Writer, first, pattern string) {
		io.WriteString(c, first)
		block := bytes.Repeat([]byte(pattern), 1+4096/len(pattern))
		for range 10_000 {
			if _, err := c.Write(block); err != nil {
				return
			}
		}
	}
	for _, c := range []struct {
		name string
		do   func(c io.Writer)
		most time.Duration
	}{
		{"nothing", func(c io.Writer) {}, handshakeTime},
		{"garbage", func(c io.Writer) { io.WriteString(c, "\x00\x01\x02") }, time.Second},
		{"TLS", func(c io.Writer) { io.WriteString(c, "\x16\x03\x01\x02\x00\x01") }, time.Second},
		{"one byte", func(c io.Writer) { c.Write([]byte{5}) }, handshakeTime},
		{"half a greeting", func(c io.Writer) { c.Write([]byte{5, 3, 0}) }, handshakeTime},
		{"a greeting alone", func(c io.Writer) { c.Write([]byte{5, 1, 0}) }, handshakeTime},
		{"SOCKS5, byte by byte", func(c io.Writer) {
			drip(c, socks.AppendConnect([]byte{5, 1, 0}, address("server.test:80"), nil))
		}, handshakeTime},
		{"half a SOCKS4 request", func(c io.Writer) { c.Write([]byte{4, 1, 0, 80}) }, handshakeTime},
		{"endless SOCKS4 user", func(c io.Writer) { flood(c, "\x04\x01\x00\x50\x01\x02\x03\x04", "user") }, farewell + time.Second},
		{"UDP ASSOCIATE", func(c io.Writer) { c.Write([]byte{5, 1, 0, 5, 3, 0, 1, 0, 0, 0, 0, 0, 0}) }, farewell + time.Second},
		{"no method", func(c io.Writer) { c.Write([]byte{5, 1, 1}) }, farewell + time.Second},
		{"slow headers", func(c io.Writer) { drip(c, []byte("CONNECT server.test:80 HTTP/1.1\r\nX: y")) }, handshakeTime},
		{"endless headers", func(c io.Writer) { flood(c, "CONNECT a:1 HTTP/1.1\r\n", "X: y\r\n") }, farewell + time.Second},
		{"endless target", func(c io.Writer) { flood(c, "CONNECT ", "a") }, farewell + time.Second},
		{"a web browser", func(c io.Writer) { io.WriteString(c, "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n") }, farewell + time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g, log := newTestGateway(t)
				near, far := proxytest.Wire(0)
				began := time.Now()
				closed := make(chan struct{})
				go func() {
					g.ServeConn(context.Background(), far)
					close(closed)
				}()
				go c.do(near)
				select {
				case <-closed:
				case <-time.After(time.Hour):
					t.Error("still open after an hour")
					near.Close()
					<-closed
				}
				if took := time.Since(began); took > c.most {
					t.Errorf("closed after %v, want %v at most", took, c.most)
				}
				if _, err := far.Write(nil); err == nil {
					t.Error("the gateway's end is open")
				}
				near.Close()
				time.Sleep(10 * time.Minute) // the slowest drip ends
				for line := range strings.Lines(log.String()) {
					if !strings.Contains(line, "level=DEBUG") {
						t.Errorf("logged: %s", line)
					}
				}
				if open, total := g.sessions.Counts(); open != 0 || total != 0 {
					t.Errorf("%d sessions open, %d in total", open, total)
				}
			})
		})
	}
}

// newTestGateway returns a gateway on a port of loopback, whose relay is a fake.
func newTestGateway(t *testing.T) (*Gateway, *safeBuffer) {
	t.Helper()
	log := &safeBuffer{}
	r := newFakeRelay(t)
	g, err := New(Config{
		SOCKS: netip.MustParseAddrPort("127.0.0.1:0"), Relay: r.link, Dial: r.dial,
		Log: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.listener.Close() })
	return g, log
}

// Over the limit clients are refused at once, and a place that is left is free.
func TestClientLimit(t *testing.T) {
	g, _ := newTestGateway(t)
	g.slots = make(chan struct{}, 2)
	ctx, stop := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := g.Serve(ctx); err != nil {
			t.Error(err)
		}
	})
	defer serving.Wait()
	defer stop()
	// enter also tells of a reset that was quicker than the dialler.
	enter := func() (net.Conn, error) {
		c, err := net.Dial("tcp", g.Addr().String())
		if err != nil {
			return nil, err
		}
		t.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(5 * time.Second))
		if _, err := c.Write([]byte{5, 1, 0}); err != nil {
			return nil, err
		}
		_, err = socks.ReadSelection(c)
		return c, err
	}
	first, err := enter()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := enter(); err != nil {
		t.Fatal(err)
	}
	if _, err := enter(); err == nil {
		t.Error("a third came in")
	}
	first.Close()
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if _, err := enter(); err == nil {
			break
		} else if time.Now().After(end) {
			t.Fatal("the place is not free again: ", err)
		}
	}
}

// Serve ends with the error when the join link is wrong, and without one when it
// is stopped.
func TestServeEnds(t *testing.T) {
	g, _ := newTestGateway(t)
	g.upstream.to.Account = "nobody"
	result := make(chan error, 1)
	go func() { result <- g.Serve(context.Background()) }()
	select {
	case err := <-result:
		if err == nil || !strings.Contains(err.Error(), "nobody") {
			t.Errorf("wrong join link: %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("Serve goes on with a join link that is wrong")
	}
	g, _ = newTestGateway(t)
	ctx, stop := context.WithCancel(context.Background())
	go func() { result <- g.Serve(ctx) }()
	time.Sleep(100 * time.Millisecond)
	stop()
	select {
	case err := <-result:
		if err != nil {
			t.Errorf("stopped: %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("Serve does not end")
	}
	if _, err := net.Dial("tcp", g.Addr().String()); err == nil {
		t.Error("the port is still open")
	}
}

func TestPortInUse(t *testing.T) {
	g, _ := newTestGateway(t)
	c := g.config
	c.SOCKS = g.Addr()
	if _, err := New(c); err == nil || !strings.Contains(err.Error(), fmt.Sprint(c.SOCKS.Port())) {
		t.Errorf("a second gateway on the same port: %v", err)
	}
}
