package mptcp

import (
	"context"
	"net"
	"testing"
)

// accept returns a listener of plain TCP and MPTCP whose connections are held.
func accept(b *testing.B) *net.TCPListener {
	l, err := Listen(b.Context(), "tcp", "127.0.0.1:0", true, nil)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			b.Cleanup(func() { c.Close() })
		}
	}()
	return l
}

// BenchmarkDial compares connecting over loopback with the standard library.
func BenchmarkDial(b *testing.B) {
	ours := func(multipath bool) func(context.Context, string) (net.Conn, error) {
		d := Dialer{Multipath: multipath}
		return func(ctx context.Context, to string) (net.Conn, error) {
			addr, err := net.ResolveTCPAddr("tcp", to)
			if err != nil {
				return nil, err
			}
			return d.Dial(ctx, addr.AddrPort())
		}
	}
	std := func(multipath bool) func(context.Context, string) (net.Conn, error) {
		var d net.Dialer
		d.SetMultipathTCP(multipath)
		return func(ctx context.Context, to string) (net.Conn, error) { return d.DialContext(ctx, "tcp4", to) }
	}
	for name, dial := range map[string]func(context.Context, string) (net.Conn, error){
		"ours/mptcp": ours(true), "ours/tcp": ours(false), "net/mptcp": std(true), "net/tcp": std(false),
	} {
		b.Run(name, func(b *testing.B) {
			to := accept(b).Addr().String()
			b.ReportAllocs()
			for b.Loop() {
				c, err := dial(b.Context(), to)
				if err != nil {
					b.Fatal(err)
				}
				c.(*net.TCPConn).SetLinger(0)
				c.Close()
			}
		})
	}
}

// BenchmarkAsk is what questions about a connection cost.
func BenchmarkAsk(b *testing.B) {
	l := accept(b)
	d := Dialer{Multipath: true}
	c, err := d.Dial(b.Context(), l.Addr().(*net.TCPAddr).AddrPort())
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	for name, ask := range map[string]func(){
		"IsMultipath": func() { IsMultipath(c) },
		"Info":        func() { Info(c) },
		"Acked":       func() { Acked(c) },
		"TCPInfo":     func() { TCPInfo(c) },
		"FullInfo":    func() { FullInfo(c) },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				ask()
			}
		})
	}
}
