package relay

import (
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"tributary/proto/socks"
	"tributary/proxy"
)

// A rawGateway speaks with the relay as a gateway of ours does, frame by frame.
type rawGateway struct {
	*tls.Conn
	sock *net.TCPConn
}

func rawFrame(b []byte) []byte {
	return append([]byte{byte(len(b) >> 16), byte(len(b) >> 8), byte(len(b))}, b...)
}

func (s *served) raw(t testing.TB) rawGateway {
	t.Helper()
	sock, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sock.Close() })
	sock.SetDeadline(time.Now().Add(30 * time.Second))
	c := tls.Client(sock, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{socks.ALPN}})
	b, _ := socks.AppendLogin(nil, s.account.Name, s.account.Secret.Text())
	if _, err := c.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := socks.ReadLogin(c, s.account.Name); err != nil {
		t.Fatal(err)
	}
	return rawGateway{c, sock.(*net.TCPConn)}
}

// stream reads one stream of the relay's to its end.
func (g rawGateway) stream() (all []byte, err error) {
	for {
		var head [3]byte
		if _, err = io.ReadFull(g, head[:]); err != nil {
			return all, err
		}
		n := int(head[0])<<16 | int(binary.BigEndian.Uint16(head[1:]))
		if n == 0 {
			return all, nil
		}
		b := make([]byte, n)
		if _, err = io.ReadFull(g, b); err != nil {
			return all, err
		}
		all = append(all, b...)
	}
}

func listen(t testing.TB, serve func(net.Conn)) proxy.Addr {
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
			go serve(c)
		}
	}()
	return proxy.IPAddr(netip.MustParseAddrPort(l.Addr().String()))
}

// What one account's holder does must not cost the relay more with each request.
func TestRefusalsOnOneConnectionDoNotPileUp(t *testing.T) {
	s := serve(t, func(c *Config) { c.Egress = nil }) // refuses private addresses at once
	to, _ := proxy.ParseAddr("127.0.0.1:80")
	g := s.raw(t)
	ask := append(rawFrame(socks.AppendOwn(nil, false, proxy.Flow{}, to, nil)), rawFrame(nil)...)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	n := 0
	for ; n < 4000; n++ {
		if _, err := g.Write(ask); err != nil {
			break
		}
		if _, err := g.stream(); err != nil {
			break
		}
		time.Sleep(100 * time.Microsecond) // the relay is to be done with it
	}
	runtime.ReadMemStats(&after)
	if n < 1000 {
		t.Fatalf("only %d refusals", n)
	}
	// Two calls deep for each, it would be 500 bytes.
	if after.StackInuse > before.StackInuse+200<<10+200*uint64(n) {
		t.Errorf("stacks grew from %d to %d KiB in %d refusals", before.StackInuse>>10, after.StackInuse>>10, n)
	}
}

// A gateway that reads nothing may have filled the connection before its next
// request. The answer to that must not keep the relay from ending.
func TestStopWhileAnAnswerFindsNoRoom(t *testing.T) {
	s := serve(t, withRealServers)
	done := make(chan struct{}, 1)
	to := listen(t, func(c net.Conn) {
		c.Write(make([]byte, 4000))
		c.(*net.TCPConn).CloseWrite()
		io.Copy(io.Discard, c)
		c.Close()
		done <- struct{}{}
	})
	g := s.raw(t)
	g.sock.SetReadBuffer(4096)
	ask := append(rawFrame(socks.AppendOwn(nil, false, proxy.Flow{}, to, nil)), rawFrame(nil)...)
	for full := false; !full; {
		if _, err := g.Write(ask); err != nil {
			t.Fatal(err)
		}
		select {
		case <-done:
		case <-time.After(time.Second):
			full = true
		}
	}
	s.stop()
	s.wait(t)
}
