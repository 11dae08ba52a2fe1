package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"tributary/gateway"
	"tributary/lab"
	"tributary/proto/socks"
	"tributary/proxy"
	"tributary/proxy/proxytest"
)

// The first byte through a gateway whose pool is empty, in the reference lab, side
// by side with a direct connection over the same link: it is never later by more
// than the work of two programs takes.
func TestColdIsNoWorseThanDirect(t *testing.T) {
	needs(t, "lab")
	n, err := lab.New(t.Context(), lab.Config{
		Links:  []lab.LinkConfig{{Name: "dsl", Shape: lab.DSL()}, {Name: "lte", Shape: lab.LTE()}},
		Server: lab.Line(0, 0, 20*time.Millisecond),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	s := siteOn(t, n)
	s.startRelay(t)
	if s.link.Shadowsocks != 8388 {
		t.Fatalf("join link %v", s.link)
	}
	var mu sync.Mutex
	ports := map[uint16]int{}
	g, err := gateway.New(gateway.Config{
		SOCKS: netip.MustParseAddrPort("127.0.0.1:0"), Relay: s.link, Log: slog.New(slog.DiscardHandler),
		Dial: func(ctx context.Context, _ netip.Addr, to netip.AddrPort) (net.Conn, error) {
			mu.Lock()
			ports[to.Port()]++
			mu.Unlock()
			return lab.Dialer{Host: n.Host("home"), Device: "dsl", MPTCP: true}.DialContext(ctx, "tcp", to.String())
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	// The gateway meets the relay, and lets its pool go.
	ctx, end := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { g.Warm(ctx); close(done) }()
	time.Sleep(time.Second)
	end()
	<-done
	mu.Lock()
	clear(ports)
	mu.Unlock()

	to, _ := proxy.ParseAddr(fmt.Sprintf("server.lab:%d", lab.PortHTTP))
	request := "GET /hello HTTP/1.0\r\nHost: server.lab\r\n\r\n"
	cold := func() (time.Duration, error) {
		near, far := proxytest.Wire(0)
		go g.ServeConn(t.Context(), far)
		defer near.Close()
		near.SetDeadline(time.Now().Add(5 * time.Second))
		start := time.Now()
		near.Write(socks.AppendGreeting(nil, socks.NoAuth))
		if _, err := socks.ReadSelection(near); err != nil {
			return 0, err
		}
		near.Write(socks.AppendConnect(nil, to, nil))
		if _, err := socks.ReadReply(near); err != nil {
			return 0, err
		}
		return firstByte(near, request, start)
	}
	direct := func() (time.Duration, error) {
		start := time.Now()
		c, err := lab.Dialer{Host: n.Host("home"), Device: "dsl"}.DialContext(t.Context(), "tcp", to.String())
		if err != nil {
			return 0, err
		}
		defer c.Close()
		return firstByte(c, request, start)
	}
	median := map[string]time.Duration{}
	for what, open := range map[string]func() (time.Duration, error){"cold": cold, "direct": direct} {
		var all []time.Duration
		for range 15 {
			took, err := open()
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			all = append(all, took)
		}
		slices.Sort(all)
		median[what] = all[len(all)/2]
		t.Logf("%s: median %v, from %v to %v", what, all[len(all)/2], all[0], all[len(all)-1])
	}
	mu.Lock()
	defer mu.Unlock()
	if ports[8388] != 15 || ports[lab.RelayPort] != 0 {
		t.Errorf("dialled %v, want Shadowsocks alone", ports)
	}
	// A busy machine adds to both; by TLS it would be 40 ms.
	if more := median["cold"] - median["direct"]; more > 20*time.Millisecond {
		t.Errorf("the first byte comes %v later than directly", more)
	}
}

func firstByte(c net.Conn, request string, start time.Time) (time.Duration, error) {
	if _, err := io.WriteString(c, request); err != nil {
		return 0, err
	}
	_, err := c.Read(make([]byte, 100))
	return time.Since(start), err
}
