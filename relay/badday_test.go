package relay

import (
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"tributary/account"
	"tributary/proto/httpconnect"
	"tributary/proto/socks"
	"tributary/proxy/proxytest"
)

// farewell is what a refused client gets to take its answer, beyond its time.
const farewell = 2 * time.Second

// drip writes b slowly, and then nothing for ever.
func drip(w io.Writer, every time.Duration, b []byte) {
	for i := range b {
		if _, err := w.Write(b[i : i+1]); err != nil {
			return
		}
		time.Sleep(every)
	}
}

// flood writes a pattern until it fails.
func flood(w io.Writer, first, pattern string) {
	w.Write([]byte(first))
	block := bytes.Repeat([]byte(pattern), 1+4096/len(pattern))
	for range 10_000 {
		if _, err := w.Write(block); err != nil {
			return
		}
	}
}

// hello returns the first bytes that a TLS client sends.
func hello() []byte {
	a, b := proxytest.Wire(0)
	go tls.Client(a, &tls.Config{InsecureSkipVerify: true}).Handshake()
	buf := make([]byte, 4096)
	n, _ := b.Read(buf)
	b.Close()
	return buf[:n]
}

// What strangers do on the relay's port: each is closed in bounded time, and is no
// news. The bubble fails when a goroutine stays behind.
func TestStrangers(t *testing.T) {
	basic := func(r *testRelay, password string) string {
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(r.account.Name+":"+password))
	}
	for _, c := range []struct {
		name string
		tls  bool
		do   func(t *testing.T, r *testRelay, c io.Writer)
		most time.Duration // until the relay has closed
	}{
		{"nothing", false, func(t *testing.T, r *testRelay, c io.Writer) {}, handshakeTime},
		{"nothing in TLS", true, func(t *testing.T, r *testRelay, c io.Writer) {}, handshakeTime},
		{"garbage", false, func(t *testing.T, r *testRelay, c io.Writer) { fmt.Fprint(c, "\x00\x01\x02garbage") }, time.Second},
		{"HTTP in the clear", false, func(t *testing.T, r *testRelay, c io.Writer) { fmt.Fprint(c, "GET / HTTP/1.1\r\n\r\n") }, time.Second},
		{"CONNECT in the clear", false, func(t *testing.T, r *testRelay, c io.Writer) {
			fmt.Fprint(c, "CONNECT a:1 HTTP/1.1\r\n\r\n")
		}, time.Second},
		{"SOCKS in the clear", false, func(t *testing.T, r *testRelay, c io.Writer) {
			c.Write(r.login(t, r.account.Secret.Text()))
		}, time.Second},
		{"SSH", false, func(t *testing.T, r *testRelay, c io.Writer) { fmt.Fprint(c, "SSH-2.0-OpenSSH_9.9\r\n") }, time.Second},
		{"0x16 and nothing", false, func(t *testing.T, r *testRelay, c io.Writer) { c.Write([]byte{0x16}) }, handshakeTime},
		{"0x16 and garbage", false, func(t *testing.T, r *testRelay, c io.Writer) { fmt.Fprint(c, "\x16garbage, garbage, garbage") }, time.Second},
		{"oversized TLS record", false, func(t *testing.T, r *testRelay, c io.Writer) { flood(c, "\x16\x03\x01\xff\xff", "x") }, time.Second},
		{"endless TLS handshake", false, func(t *testing.T, r *testRelay, c io.Writer) {
			flood(c, "", "\x16\x03\x01\x00\x08\x01\xff\xff\xffabcd")
		}, 2 * time.Second},
		{"half a hello", false, func(t *testing.T, r *testRelay, c io.Writer) { h := hello(); c.Write(h[:len(h)/2]) }, handshakeTime},
		{"a hello, then silence", false, func(t *testing.T, r *testRelay, c io.Writer) { c.Write(hello()) }, handshakeTime},
		{"a hello, byte by byte", false, func(t *testing.T, r *testRelay, c io.Writer) { drip(c, time.Second, hello()) }, handshakeTime},
		{"TLS 1.2", false, func(t *testing.T, r *testRelay, c io.Writer) {
			tls.Client(c.(*proxytest.End), &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12}).Handshake()
		}, time.Second},
		{"garbage in TLS", true, func(t *testing.T, r *testRelay, c io.Writer) { fmt.Fprint(c, "garbage") }, time.Second},
		{"GET in TLS", true, func(t *testing.T, r *testRelay, c io.Writer) { fmt.Fprint(c, "GET / HTTP/1.1\r\n\r\n") }, time.Second},
		{"half a greeting", true, func(t *testing.T, r *testRelay, c io.Writer) { c.Write([]byte{5, 2, 0}) }, handshakeTime},
		{"a login, byte by byte", true, func(t *testing.T, r *testRelay, c io.Writer) {
			drip(c, time.Second, r.login(t, r.account.Secret.Text()))
		}, handshakeTime},
		{"no password offered", true, func(t *testing.T, r *testRelay, c io.Writer) { c.Write([]byte{5, 1, 0}) }, farewell + time.Second},
		{"255 methods", true, func(t *testing.T, r *testRelay, c io.Writer) {
			c.Write(append([]byte{5, 255}, bytes.Repeat([]byte{0x80}, 255)...))
		}, farewell + time.Second},
		{"wrong password", true, func(t *testing.T, r *testRelay, c io.Writer) { c.Write(r.login(t, "wrong")) }, farewell + time.Second},
		{"wrong password, late", true, func(t *testing.T, r *testRelay, c io.Writer) {
			time.Sleep(handshakeTime - time.Second)
			c.Write(r.login(t, "wrong"))
		}, handshakeTime + farewell},
		{"wrong password, and much more", true, func(t *testing.T, r *testRelay, c io.Writer) {
			flood(c, string(r.login(t, "wrong")), "more")
		}, farewell + time.Second},
		{"longest login", true, func(t *testing.T, r *testRelay, c io.Writer) {
			long := strings.Repeat("x", 255)
			b, err := socks.AppendLogin(nil, long, long)
			if err != nil {
				t.Error(err)
			}
			c.Write(b)
		}, farewell + time.Second},
		{"SOCKS4", true, func(t *testing.T, r *testRelay, c io.Writer) {
			b, _ := socks.AppendRequest4(nil, socks.Message4{Command: socks.Connect, To: address("192.0.2.80:80")})
			c.Write(b)
		}, farewell + time.Second},
		{"endless SOCKS4 user", true, func(t *testing.T, r *testRelay, c io.Writer) {
			flood(c, "\x04\x01\x00\x50\x01\x02\x03\x04", "user")
		}, farewell + time.Second},
		{"BIND", true, func(t *testing.T, r *testRelay, c io.Writer) {
			c.Write(append(r.login(t, r.account.Secret.Text()), 5, 2, 0, 1, 192, 0, 2, 80, 0, 80))
		}, farewell + time.Second},
		{"slow headers", true, func(t *testing.T, r *testRelay, c io.Writer) {
			drip(c, 300*time.Millisecond, []byte("CONNECT a:1 HTTP/1.1\r\nX: "+strings.Repeat("y", 200)))
		}, handshakeTime},
		{"half a CONNECT", true, func(t *testing.T, r *testRelay, c io.Writer) { fmt.Fprint(c, "CONNECT a:1 HTTP/1.1\r\nProxy-Auth") }, handshakeTime},
		{"endless headers", true, func(t *testing.T, r *testRelay, c io.Writer) {
			flood(c, "CONNECT a:1 HTTP/1.1\r\n", "X-More: of the same\r\n")
		}, 5 * time.Second},
		{"endless target", true, func(t *testing.T, r *testRelay, c io.Writer) { flood(c, "CONNECT ", "a") }, 5 * time.Second},
		{"wrong HTTP password, again and again", true, func(t *testing.T, r *testRelay, c io.Writer) {
			for range 20 {
				if _, err := c.Write([]byte("CONNECT a:1 HTTP/1.1\r\nProxy-Authorization: " + basic(r, "wrong") + "\r\n\r\n")); err != nil {
					return
				}
				time.Sleep(100 * time.Millisecond)
			}
		}, farewell + time.Second},
		{"407 and then silence", true, func(t *testing.T, r *testRelay, c io.Writer) {
			c.Write(httpconnect.AppendConnect(nil, address("a.test:1"), "", ""))
		}, handshakeTime},
		{"CONNECT with content", true, func(t *testing.T, r *testRelay, c io.Writer) {
			fmt.Fprintf(c, "CONNECT a:1 HTTP/1.1\r\nProxy-Authorization: %s\r\nContent-Length: 5\r\n\r\nhello", basic(r, r.account.Secret.Text()))
		}, farewell + time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, nil, func(t *testing.T, r *testRelay) {
				conn := r.connect()
				start := r.log.String() // a UDP port may be taken
				began := time.Now()
				w := io.ReadWriteCloser(conn)
				if c.tls {
					outer := tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
					if err := outer.Handshake(); err != nil {
						t.Fatal(err)
					}
					w = outer
				}
				closed := make(chan time.Duration)
				go func() {
					r.clients.Wait()
					closed <- time.Since(began)
				}()
				go c.do(t, r, w)
				var took time.Duration
				select {
				case took = <-closed:
				case <-time.After(time.Hour):
					t.Error("still open after an hour")
					conn.Close()
					took = <-closed
				}
				if took > c.most+time.Second/5 {
					t.Errorf("closed after %v, want %v at most", took, c.most)
				}
				time.Sleep(time.Minute) // the client sees the end and stops, if it has not
				if _, err := conn.Write([]byte("x")); err == nil {
					time.Sleep(time.Second)
					if _, err = conn.Write([]byte("x")); err == nil {
						t.Error("the relay's end is still open")
					}
				}
				conn.Close()
				time.Sleep(10 * time.Minute) // the slowest drip ends
				for line := range strings.Lines(strings.TrimPrefix(r.log.String(), start)) {
					if !strings.Contains(line, "level=DEBUG") {
						t.Errorf("logged: %s", line)
					}
				}
				if len(r.servers.Dialed()) > 0 {
					t.Errorf("dialled %v", r.servers.Dialed())
				}
			})
		})
	}
}

func TestThousandSilentConnections(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *testRelay) {
		began := time.Now()
		var ends []*proxytest.End
		for range 1000 {
			ends = append(ends, r.connect())
		}
		// One who has something to say is served meanwhile.
		r.servers.Handle(address("server.test:80"), proxytest.Echo)
		if err := r.echoes(t); err != nil {
			t.Error(err)
		}
		r.clients.Wait()
		if took := time.Since(began); took != handshakeTime {
			t.Errorf("the last was closed after %v", took)
		}
		for _, e := range ends {
			e.Close()
		}
	})
}

// echoes asks for a stream and uses it.
func (r *testRelay) echoes(t *testing.T) error {
	c, below := r.connectTLS(t)
	defer below.Close()
	defer c.Close()
	b, err := socks.AppendOpening(nil, r.account.Name, r.account.Secret.Text(), address("server.test:80"), []byte("hello"))
	if err != nil {
		return err
	}
	c.Write(b)
	if err := socks.ReadLogin(c, r.account.Name); err != nil {
		return err
	}
	if _, err := socks.ReadReply(c); err != nil {
		return err
	}
	got := make([]byte, 5)
	if _, err := io.ReadFull(c, got); err != nil || string(got) != "hello" {
		return fmt.Errorf("read %q, %w", got, err)
	}
	return nil
}

// A gateway's warm connection may wait long, but not for ever.
func TestWarmConnectionWaits(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *testRelay) {
		c, below := r.connectTLS(t)
		began := time.Now()
		c.Write(r.login(t, r.account.Secret.Text()))
		if err := socks.ReadLogin(c, account.Default); err != nil {
			t.Fatal(err)
		}
		_, err := c.Read(make([]byte, 1))
		if took := time.Since(began); err == nil || took < requestTime || took > requestTime+time.Second {
			t.Errorf("the wait ended after %v with %v", took, err)
		}
		below.Close()
	})
}
