package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tributary/account"
	"tributary/gateway"
	"tributary/proxy"
	"tributary/relay"
)

// Real ends, real sockets: many short sessions, each ended by the server, as with
// "Connection: close".
func TestServerEndsFirstOverSockets(t *testing.T) {
	dir := t.TempDir()
	accounts, err := account.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	local := netip.MustParseAddrPort("127.0.0.1:0")
	r, err := relay.New(relay.Config{Listen: local, Shadowsocks: local, StateDir: dir, Accounts: accounts, Advertise: "127.0.0.1", AllowPrivate: true,
		Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	link, err := r.JoinLink(account.Default)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	g, err := gateway.New(gateway.Config{SOCKS: local, Relay: link, Opening: gateway.Eager,
		Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	var ends sync.WaitGroup
	ends.Go(func() { r.Serve(ctx) })
	ends.Go(func() { g.Serve(ctx) })
	defer ends.Wait()
	defer stop()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	const size = 20_000
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				c.Read(make([]byte, 64))
				c.Write(make([]byte, size))
				c.(*net.TCPConn).CloseWrite()
				io.Copy(io.Discard, c)
			}()
		}
	}()
	to := proxy.IPAddr(netip.MustParseAddrPort(l.Addr().String()))
	time.Sleep(time.Second)
	var failed, total atomic.Int64
	var first sync.Map
	session := func() error {
		c, err := net.Dial("tcp", g.Addr().String())
		if err != nil {
			return err
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(20 * time.Second))
		if err := socks5Client(c.(proxy.Conn), to); err != nil {
			return err
		}
		if _, err := fmt.Fprint(c, "GET /"); err != nil {
			return err
		}
		b, err := io.ReadAll(c)
		if err == nil && len(b) != size {
			err = fmt.Errorf("%d bytes", len(b))
		}
		return err
	}
	var workers sync.WaitGroup
	for range 6 {
		workers.Go(func() {
			for end := time.Now().Add(2 * time.Second); time.Now().Before(end); {
				total.Add(1)
				if err := session(); err != nil {
					failed.Add(1)
					first.LoadOrStore(err.Error(), true)
				}
			}
		})
	}
	workers.Wait()
	first.Range(func(k, _ any) bool { t.Log(k); return true })
	t.Logf("%d of %d sessions failed", failed.Load(), total.Load())
	if failed.Load() > 0 {
		t.Fail()
	}
}
