package main

import (
	"io"
	"testing"
	"testing/synctest"
	"time"

	"tributary/gateway"
	"tributary/proto/socks"
	"tributary/proxy"
	"tributary/proxy/proxytest"
)

// The table "What the gateway answers, and when" of docs/protocol.md, row by row:
// how long the client waits for the answer, and what it hears.
func TestAnswersTable(t *testing.T) {
	const atOnce, truth = 0, rtR + rtP
	reach := func(t *testing.T, w *world, to proxy.Addr) { // and use it
		c := w.client()
		if err := socks5Client(c, to); err != nil {
			t.Fatal(err)
		}
		c.Write([]byte("x"))
		c.Read(make([]byte, 1))
		c.Close()
		time.Sleep(time.Second)
	}
	fail := func(t *testing.T, w *world, to proxy.Addr) {
		w.servers.Refuse(to, proxy.Refused)
		c := w.client()
		if socks5Client(c, to) == nil {
			c.Read(make([]byte, 1))
		}
		c.Close()
		time.Sleep(time.Second)
	}
	later := func(d time.Duration, f func(*testing.T, *world, proxy.Addr)) func(*testing.T, *world, proxy.Addr) {
		return func(t *testing.T, w *world, to proxy.Addr) {
			f(t, w, to)
			time.Sleep(d)
		}
	}
	for _, c := range []struct {
		name    string
		opening gateway.Opening
		to      string
		before  func(*testing.T, *world, proxy.Addr)
		refused proxy.Reason // 0 is success
		want    time.Duration
	}{
		{"reached before", gateway.Auto, "server.test:9000", reach, 0, atOnce},
		{"reached 9 minutes before", gateway.Auto, "server.test:9000", later(9*time.Minute, reach), 0, atOnce},
		{"reached 11 minutes before", gateway.Auto, "server.test:9000", later(11*time.Minute, reach), 0, truth},
		{"unknown, port 80", gateway.Auto, "server.test:80", nil, 0, atOnce},
		{"unknown, port 443", gateway.Auto, "server.test:443", nil, 0, atOnce},
		{"unknown, other port", gateway.Auto, "server.test:22", nil, 0, truth},
		{"unknown, other port, refused", gateway.Auto, "server.test:22", nil, proxy.Refused, truth},
		{"failed before, web", gateway.Auto, "server.test:443", fail, proxy.Refused, truth},
		{"failed 2 minutes before, web", gateway.Auto, "server.test:443", later(2*time.Minute, fail), 0, atOnce},
		{"reached, then failed", gateway.Auto, "server.test:9000", func(t *testing.T, w *world, to proxy.Addr) { reach(t, w, to); fail(t, w, to) }, proxy.Refused, truth},
		{"honest, reached before", gateway.Honest, "server.test:443", reach, 0, truth},
		{"eager, unknown, other port", gateway.Eager, "server.test:22", nil, 0, atOnce},
		{"a family that the relay lacks", gateway.Auto, "[2001:db8::1]:443", func(t *testing.T, w *world, to proxy.Addr) {
			other, _ := proxy.ParseAddr("[2001:db8::2]:9000")
			w.servers.Refuse(other, proxy.AddressUnsupported)
			socks5Client(w.client(), other)
		}, proxy.AddressUnsupported, atOnce},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, c.opening)
				w.warm()
				to, err := proxy.ParseAddr(c.to)
				if err != nil {
					t.Fatal(err)
				}
				w.servers.Handle(to, proxytest.Echo)
				if c.before != nil {
					c.before(t, w, to)
				}
				if c.refused != 0 {
					w.servers.Refuse(to, c.refused)
				}
				conn := w.client()
				defer conn.Close()
				start := time.Now()
				err = socks5Client(conn, to)
				if got := time.Since(start); got != c.want {
					t.Errorf("answered after %v, want %v", got, c.want)
				}
				if c.refused == 0 && err != nil || c.refused != 0 && (err == nil || socks.Code(proxy.ReasonOf(err)) != socks.Code(c.refused)) {
					t.Errorf("answered %v, want %v", err, c.refused)
				}
			})
		})
	}
}

// A server that wants the whole upload before it says anything gets it at once,
// although the relay's answer waits for the server's first bytes.
func TestUploadIsNotHeld(t *testing.T) {
	for name, before := range map[string]func(*world){"warm": (*world).warm, "cold": (*world).cool} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, gateway.Auto)
			before(w)
			to, _ := proxy.ParseAddr("server.test:443")
			const size = 30_000
			w.servers.Handle(to, func(c proxy.Conn) {
				io.ReadFull(c, make([]byte, size))
				c.Write([]byte("thanks"))
			})
			conn := w.client()
			defer conn.Close()
			start := time.Now()
			if err := socks5Client(conn, to); err != nil {
				t.Fatal(err)
			}
			conn.Write(make([]byte, size))
			conn.Read(make([]byte, 1))
			if got, most := time.Since(start), 2*rtR+2*rtP; got > most {
				t.Errorf("%s: thanks after %v, want %v at most", name, got, most)
			}
		})
	}
}
