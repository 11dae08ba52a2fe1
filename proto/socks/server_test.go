package socks

import (
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tributary/proxy"
	"tributary/proxy/proxytest"
)

// talk sends an opening in one piece and returns all that the server answers, and
// what Accept returns.
func talk(t *testing.T, s *Server, opening string) (answer string, req *proxy.Request, err error) {
	synctest.Test(t, func(t *testing.T) {
		client, server := proxytest.Wire(time.Millisecond)
		defer server.Close()
		defer client.Close()
		done := make(chan struct{})
		go func() {
			defer close(done)
			server.SetDeadline(time.Now().Add(5 * time.Second))
			if req, err = s.Accept(server, nil); err == nil {
				server.CloseWrite()
			}
		}()
		client.Write([]byte(opening))
		b, readErr := io.ReadAll(client)
		if readErr != nil {
			t.Errorf("%x: answer: %v", opening, readErr)
		}
		answer = string(b)
		client.Close()
		<-done
	})
	return answer, req, err
}

// TestRefusedByServer is what the server refuses on its own, with its last words.
func TestRefusedByServer(t *testing.T) {
	const connect, unbound = "\x05\x01\x00\x01\xc0\x00\x02\x07\x01\xbb", "\x00\x01\x00\x00\x00\x00\x00\x00"
	open, closed := &Server{}, &Server{Auth: onlyMe}
	for _, tt := range []struct {
		what, opening, answer string
		server                *Server
		reason                proxy.Reason
	}{
		{"no method offered", "\x05\x00", "\x05\xff", open, proxy.AuthenticationFailed},
		{"only GSSAPI offered", "\x05\x01\x01", "\x05\xff", open, proxy.AuthenticationFailed},
		{"no password offered", "\x05\x02\x00\x01", "\x05\xff", closed, proxy.AuthenticationFailed},
		{"wrong password", "\x05\x01\x02\x01\x02me\x03bad" + connect, "\x05\x02\x01\x01", closed, proxy.AuthenticationFailed},
		{"empty user and password", "\x05\x01\x02\x01\x00\x00", "\x05\x02\x01\x01", closed, proxy.AuthenticationFailed},
		{"BIND", "\x05\x01\x00\x05\x02\x00\x01\xc0\x00\x02\x07\x01\xbb", "\x05\x00\x05\x07" + unbound, open, proxy.CommandUnsupported},
		{"UDP ASSOCIATE", "\x05\x01\x00\x05\x03\x00\x01\x00\x00\x00\x00\x00\x00", "\x05\x00\x05\x07" + unbound, open, proxy.CommandUnsupported},
		{"Tor's RESOLVE", "\x05\x01\x00\x05\xf0\x00\x03\x01a\x00\x00", "\x05\x00\x05\x07" + unbound, open, proxy.CommandUnsupported},
		{"unknown address type", "\x05\x01\x00\x05\x01\x00\x02\xc0\x00\x02\x07\x01\xbb", "\x05\x00\x05\x08" + unbound, open, proxy.AddressUnsupported},
		{"impossible name", "\x05\x01\x00\x05\x01\x00\x03\x03a/b\x01\xbb", "\x05\x00\x05\x04" + unbound, open, proxy.NameNotFound},
		{"request of another version", "\x05\x01\x00\x04\x01\x00\x01\xc0\x00\x02\x07\x01\xbb", "\x05\x00\x05\x01" + unbound, open, proxy.Failed},
		{"SOCKS4 BIND", "\x04\x02\x01\xbb\xc0\x00\x02\x07me\x00", "\x00\x5b\x00\x00\x00\x00\x00\x00", open, proxy.CommandUnsupported},
		{"SOCKS4 where a password is wanted", "\x04\x01\x01\xbb\xc0\x00\x02\x07me\x00", "\x00\x5d\x00\x00\x00\x00\x00\x00", closed, proxy.AuthenticationFailed},
		{"SOCKS4 with an endless user", "\x04\x01\x01\xbb\xc0\x00\x02\x07" + strings.Repeat("u", 8<<10), "\x00\x5b\x00\x00\x00\x00\x00\x00", open, proxy.Failed},
		{"SOCKS4a with an endless name", "\x04\x01\x01\xbb\x00\x00\x00\x01\x00" + strings.Repeat("n", 8<<10), "\x00\x5b\x00\x00\x00\x00\x00\x00", open, proxy.Failed},
	} {
		answer, req, err := talk(t, tt.server, tt.opening)
		var refusal *proxy.Error
		if answer != tt.answer || req != nil || !errors.As(err, &refusal) || refusal.Reason != tt.reason {
			t.Errorf("%s: answer %x, %v; want %x, %v", tt.what, answer, err, tt.answer, tt.reason)
		}
		if err != nil && strings.Contains(err.Error(), "bad") {
			t.Errorf("%s: the error shows the password: %v", tt.what, err)
		}
	}
}

// TestChoose is which of the offered methods the server picks.
func TestChoose(t *testing.T) {
	open, closed := &Server{}, &Server{Auth: onlyMe}
	for _, tt := range []struct {
		server  *Server
		offered string
		want    byte
	}{
		{open, "\x00", NoAuth}, {open, "\x02\x01\x00", NoAuth}, {open, "\x01\x02", UserPass}, {open, "\x01\x80", noAcceptableMethod}, {open, "", noAcceptableMethod},
		{closed, "\x00", noAcceptableMethod}, {closed, "\x00\x02", UserPass}, {closed, "", noAcceptableMethod},
	} {
		if got := tt.server.choose([]byte(tt.offered)); got != tt.want {
			t.Errorf("authentication %v, offered %x: %x, want %x", tt.server.Auth != nil, tt.offered, got, tt.want)
		}
	}
}

func TestNotSocks(t *testing.T) {
	for _, first := range []string{"G", "\x16\x03\x01", "\x00", "\x06"} {
		_, server := proxytest.Wire(0)
		req, err := (&Server{}).Accept(server, []byte(first))
		if err == nil || req != nil {
			t.Errorf("%q is accepted", first)
		}
		if _, err := server.Write([]byte("x")); err == nil {
			t.Errorf("%q: the connection stays open", first)
		}
	}
}

// TestRoundTrips counts what each way to open a stream costs once there is a
// connection, until the first byte from the other side.
func TestRoundTrips(t *testing.T) {
	const oneWay = 10 * time.Millisecond
	to := addr(t, "a.example:443")
	write := func(t *testing.T, c proxy.Conn, b []byte, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write(b); err != nil {
			t.Error(err)
		}
	}
	check := func(t *testing.T, err error) {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
	}
	login := func(t *testing.T, c proxy.Conn) {
		b, err := AppendLogin(nil, "me", "pass")
		write(t, c, b, err)
		check(t, ReadLogin(c, "me"))
	}
	reply := func(t *testing.T, c proxy.Conn) {
		bound, err := ReadReply(c)
		check(t, err)
		if bound.String() != "192.0.2.3:5000" {
			t.Errorf("bound is %v", bound)
		}
	}
	for _, tt := range []struct {
		what   string
		trips  int
		flight int // of the client
		warmUp func(*testing.T, proxy.Conn)
		open   func(*testing.T, proxy.Conn)
	}{
		{"step by step", 4, 4, nil, func(t *testing.T, c proxy.Conn) {
			write(t, c, AppendGreeting(nil, NoAuth, UserPass), nil)
			_, err := ReadSelection(c)
			check(t, err)
			b, err := AppendAuth(nil, "me", "pass")
			write(t, c, b, err)
			check(t, ReadAuthReply(c))
			write(t, c, AppendConnect(nil, to, nil), nil)
			reply(t, c)
			write(t, c, []byte("ping"), nil)
		}},
		{"login in one, request with early data", 2, 2, nil, func(t *testing.T, c proxy.Conn) {
			login(t, c)
			write(t, c, AppendConnect(nil, to, []byte("ping")), nil)
			reply(t, c)
		}},
		{"all in one", 1, 1, nil, func(t *testing.T, c proxy.Conn) {
			b, err := AppendOpening(nil, "me", "pass", to, []byte("ping"))
			write(t, c, b, err)
			check(t, ReadLogin(c, "me"))
			reply(t, c)
		}},
		{"warm", 1, 2, login, func(t *testing.T, c proxy.Conn) {
			write(t, c, AppendConnect(nil, to, []byte("ping")), nil)
			reply(t, c)
		}},
	} {
		synctest.Test(t, func(t *testing.T) {
			client, server := proxytest.Wire(oneWay)
			done := make(chan struct{})
			go func() {
				defer close(done)
				defer server.Close()
				req, err := (&Server{Auth: onlyMe}).Accept(server, nil)
				if err != nil {
					t.Error(err)
					return
				}
				c, err := req.Accept(netip.MustParseAddrPort("192.0.2.3:5000"))
				check(t, err)
				c.Write(req.Early)
				proxytest.Echo(c)
			}()
			if tt.warmUp != nil {
				tt.warmUp(t, client)
			}
			time.Sleep(time.Second)
			began := time.Now()
			tt.open(t, client)
			b := make([]byte, 4)
			if _, err := io.ReadFull(client, b); err != nil || string(b) != "ping" {
				t.Errorf("%s: %q, %v", tt.what, b, err)
			}
			if took := time.Since(began); took != time.Duration(tt.trips)*2*oneWay {
				t.Errorf("%s: first byte after %v, want %d round trips", tt.what, took, tt.trips)
			}
			if n := client.Count(); n.Flights != tt.flight {
				t.Errorf("%s: %+v, want %d flights", tt.what, n, tt.flight)
			}
			client.Close()
			<-done
		})
	}
}

// TestNoBufferHeld looks that neither a request without early data nor its answer
// keeps the handshake's buffer alive: a session may live for hours.
func TestNoBufferHeld(t *testing.T) {
	client, server := proxytest.Wire(0)
	defer client.Close()
	opening, _ := AppendOpening(nil, "", "", addr(t, "a.example:443"), []byte("hi"))
	req, err := (&Server{}).Accept(server, opening)
	if err != nil {
		t.Fatal(err)
	}
	if n := cap(req.Early); n > 64 {
		t.Errorf("2 bytes of early data hold %d", n)
	}
	p := req.Pending.(*pending)
	if _, err := req.Accept(netip.AddrPort{}); err != nil || p.out != nil {
		t.Errorf("%v, %d bytes are held after the answer", err, cap(p.out))
	}
}

func FuzzAccept(f *testing.F) {
	for _, s := range []string{
		"\x05\x01\x00\x05\x01\x00\x01\xc0\x00\x02\x07\x01\xbbearly",
		"\x05\x02\x00\x02\x01\x02me\x04pass\x05\x01\x00\x03\x09a.example\x1f\x90early",
		"\x04\x01\x01\xbb\xc0\x00\x02\x07me\x00early",
		"\x04\x01\x01\xbb\x00\x00\x00\x01me\x00a.example\x00early",
		"\x05\xff", "\x05\x01\x00\x05\x03\x00\x04",
	} {
		f.Add([]byte(s), uint8(1), false)
		f.Add([]byte(s), uint8(200), true)
	}
	f.Fuzz(func(t *testing.T, in []byte, firstSize uint8, auth bool) {
		s := &Server{}
		if auth {
			s.Auth = onlyMe
		}
		n := min(int(firstSize), len(in))
		client, server := proxytest.Wire(0)
		client.Write(in[n:min(len(in), proxytest.Window)])
		client.Close()
		req, err := s.Accept(server, in[:n])
		if err != nil {
			if _, err := server.Write([]byte("x")); err == nil {
				t.Fatal("Accept failed and leaves the connection open")
			}
			return
		}
		if auth && req.User != "account of me" {
			t.Fatalf("%q got in", req.User)
		}
		rest, err := io.ReadAll(server)
		if stream := string(req.Early) + string(rest); err != nil || len(in) < proxytest.Window && !strings.HasSuffix(string(in), stream) {
			t.Fatalf("the stream %q, %v is not the end of %q", stream, err, in)
		}
		if !req.To.IsValid() {
			t.Fatal("a request to nowhere")
		}
	})
}
