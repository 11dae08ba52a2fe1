package httpconnect

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"tributary/proxy"
	"tributary/proxy/proxytest"
)

func TestAppendConnect(t *testing.T) {
	for _, tt := range []struct{ to, user, want string }{
		{"a.example:443", "", "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n"},
		{"[2001:db8::1]:80", "Aladdin", "CONNECT [2001:db8::1]:80 HTTP/1.1\r\nHost: [2001:db8::1]:80\r\nProxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\r\n"}, // RFC 7617 section 2
	} {
		to, err := proxy.ParseAddr(tt.to)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(AppendConnect(nil, to, tt.user, "open sesame")); got != tt.want {
			t.Errorf("got %q\nwant %q", got, tt.want)
		}
	}
}

func TestReadReply(t *testing.T) {
	const noReason = proxy.Reason(99)
	for _, tt := range []struct {
		answer string
		want   proxy.Reason // noReason is success
	}{
		{established, noReason},
		{"HTTP/1.0 200\r\n\r\n", noReason},
		{"HTTP/1.1 204 x\r\nContent-Length: 77\r\n\r\n", noReason},
		{"HTTP/1.1 200 OK\r\nA: b\r\r\n\r\n", proxy.Failed},
		{"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nA: b\r\n\r\n", noReason},
		{challenge, proxy.AuthenticationFailed},
		{"HTTP/1.1 502 Bad Gateway\r\nProxy-Status: x; error=connection_refused\r\n\r\n", proxy.Refused},
		{"HTTP/1.1 503 x\r\n\r\n", proxy.HostUnreachable},
		{"HTTP/1.1 301 x\r\nLocation: /\r\n\r\n", proxy.Failed},
		{"HTTP/1.1 2xx x\r\n\r\n", proxy.Failed},
		{"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", proxy.Failed},
		{"HTTP/1.1 200 OK\n\n", proxy.Failed},
		{"HTTP/1.1 200 OK\r\nA: b\n\n....", proxy.Failed},
		{"SSH-2.0-OpenSSH_9", proxy.Failed},
		{"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 20<<10), proxy.Failed},
		{strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 6), proxy.Failed},
	} {
		for _, wrap := range []func(io.Reader) io.Reader{func(r io.Reader) io.Reader { return r }, iotest.OneByteReader, iotest.HalfReader} {
			rest := strings.NewReader(tt.answer + "!")
			err := ReadReply(wrap(rest))
			var answered *proxy.Error
			if (err == nil) != (tt.want == noReason) || err != nil && (proxy.ReasonOf(err) != tt.want || !errors.As(err, &answered)) {
				t.Errorf("%.60q: %v", tt.answer, err)
			}
			if err == nil && rest.Len() != 1 {
				t.Errorf("%.60q: %d bytes are left, want 1", tt.answer, rest.Len())
			}
		}
		if tt.want != noReason || strings.Contains(tt.answer, "100") {
			continue
		}
		for i := range tt.answer {
			err := ReadReply(strings.NewReader(tt.answer[:i]))
			var answered *proxy.Error
			if !errors.Is(err, io.ErrUnexpectedEOF) && !(i == 0 && errors.Is(err, io.EOF)) || errors.As(err, &answered) {
				t.Errorf("%.60q: %v", tt.answer[:i], err)
			}
		}
	}
	if err := ReadReply(io.MultiReader(strings.NewReader("HTTP/1.1 200 O"), iotest.ErrReader(errIO))); !errors.Is(err, errIO) {
		t.Errorf("the stream's error becomes %v", err)
	}
}

// TestRoundTrips counts what a stream costs once there is a connection.
func TestRoundTrips(t *testing.T) {
	const oneWay = 10 * time.Millisecond
	to, _ := proxy.ParseAddr("a.example:443")
	for _, early := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			client, server := proxytest.Wire(oneWay)
			done := make(chan struct{})
			go func() {
				defer close(done)
				req, err := (&Server{}).Accept(server, nil)
				if err != nil {
					t.Error(err)
					return
				}
				c, _ := req.Accept(netip.AddrPort{})
				c.Write(req.Early)
				proxytest.Echo(c)
			}()
			began := time.Now()
			if early {
				client.Write(append(AppendConnect(nil, to, "", ""), "ping"...))
			} else {
				client.Write(AppendConnect(nil, to, "", ""))
			}
			if err := ReadReply(client); err != nil {
				t.Error(err)
			}
			want := 1
			if !early {
				client.Write([]byte("ping"))
				want = 2
			}
			b := make([]byte, 4)
			io.ReadFull(client, b)
			if took := time.Since(began); took != time.Duration(want)*2*oneWay || string(b) != "ping" {
				t.Errorf("early %v: first byte %q after %v, want %d round trips", early, b, took, want)
			}
			client.CloseWrite()
			<-done
			server.Close()
			client.Close()
		})
	}
}

func FuzzReadReply(f *testing.F) {
	f.Add([]byte(established + "rest"))
	f.Add([]byte(challenge))
	f.Add([]byte("HTTP/1.1 100 x\r\n\r\nHTTP/1.0 200\r\n\r\n\r\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		whole, single := bytes.NewReader(in), bytes.NewReader(in)
		err, err1 := ReadReply(whole), ReadReply(iotest.OneByteReader(single))
		if (err == nil) != (err1 == nil) || whole.Len() != single.Len() {
			t.Fatalf("in one piece %v, byte by byte %v", err, err1)
		}
		if read := in[:len(in)-whole.Len()]; err == nil && !bytes.HasSuffix(read, []byte("\r\n\r\n")) {
			t.Fatalf("success after %q", read)
		}
	})
}
