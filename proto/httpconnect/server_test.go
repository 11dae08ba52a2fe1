package httpconnect

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tributary/proxy"
	"tributary/proxy/proxytest"
)

func onlyMe(user, password string) (string, bool) {
	return "account of " + user, user == "me" && password == "pass:word"
}

func TestInbound(t *testing.T) {
	seen := func(r proxy.Reason) proxy.Reason {
		status, typ := Status(r)
		return Reason(status, "tributary; error="+typ)
	}
	opening := func(user string) func(proxy.Addr) []byte {
		return func(to proxy.Addr) []byte { return AppendConnect(nil, to, user, "pass:word") }
	}
	for what, in := range map[string]proxytest.Inbound{
		"open":                             {Accept: (&Server{}).Accept, Opening: opening("")},
		"with a password":                  {Accept: (&Server{Auth: onlyMe}).Accept, Opening: opening("me"), User: "account of me"},
		"with a password nobody asked for": {Accept: (&Server{}).Accept, Opening: opening("you")},
	} {
		in.Name, in.Answer, in.Seen = "http", ReadReply, seen
		t.Run(what, func(t *testing.T) { proxytest.TestInbound(t, in) })
	}
}

// talk sends requests one after the other, each when the answer to the one before
// has come, and returns the answers and what Accept returns. The last answer is
// read up to the end of the connection, unless the request is good.
func talk(t *testing.T, s *Server, requests ...string) (answers []string, req *proxy.Request, err error) {
	synctest.Test(t, func(t *testing.T) {
		client, server := proxytest.Wire(time.Millisecond)
		served := make(chan struct{})
		go func() {
			defer close(served)
			server.SetDeadline(time.Now().Add(5 * time.Second))
			req, err = s.Accept(server, nil)
		}()
		for i, r := range requests {
			client.Write([]byte(r))
			if i == len(requests)-1 {
				break
			}
			b := make([]byte, 4096)
			n, err := client.Read(b)
			if err != nil {
				t.Errorf("after request %d: %v", i, err)
			}
			answers = append(answers, string(b[:n]))
		}
		time.Sleep(time.Second)
		select {
		case <-served:
		default: // the server lingers or waits
			b, err := io.ReadAll(client)
			if err != nil {
				t.Errorf("answer: %v", err)
			}
			answers = append(answers, string(b))
		}
		client.Close()
		<-served
		server.Close()
	})
	return answers, req, err
}

const (
	challenge    = "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"tributary\", charset=\"UTF-8\"\r\nContent-Length: 0\r\n\r\n"
	challengeEnd = "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"tributary\", charset=\"UTF-8\"\r\nContent-Length: 0\r\nConnection: close\r\nProxy-Connection: close\r\n\r\n"

	bare   = "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n"
	signed = "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\nProxy-Authorization: basic bWU6cGFzczp3b3Jk\r\n\r\n"
	forged = "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\nProxy-Authorization: Basic bWU6d3Jvbmc=\r\n\r\n"
)

func TestAuthentication(t *testing.T) {
	for _, tt := range []struct {
		what     string
		requests []string
		answers  []string
		ok       bool
	}{
		{"right at once", []string{signed}, nil, true},
		{"asked, then right, as curl --proxy-anyauth", []string{bare, signed}, []string{challenge}, true},
		{"wrong, then right", []string{forged, signed + "early"}, []string{challenge}, true},
		{"wrong three times", []string{forged, forged, forged}, []string{challenge, challenge, challengeEnd}, false},
		{"early data behind a bare request is no second request", []string{bare + signed}, []string{challengeEnd}, false},
		{"HTTP/1.0 ends", []string{strings.Replace(bare, "1.1", "1.0", 1)}, []string{challengeEnd}, false},
		{"Connection: close", []string{strings.Replace(bare, "Host:", "Connection: close\r\nHost:", 1)}, []string{challengeEnd}, false},
		{"Proxy-Connection: close", []string{strings.Replace(bare, "Host:", "Proxy-Connection: close\r\nHost:", 1)}, []string{challengeEnd}, false},
		{"not Basic", []string{strings.Replace(signed, "basic", "Bearer", 1), signed}, []string{challenge}, true},
		{"not base64", []string{strings.Replace(signed, "basic ", "Basic !", 1), signed}, []string{challenge}, true},
	} {
		answers, req, err := talk(t, &Server{Auth: onlyMe}, tt.requests...)
		if fmt.Sprintf("%q", answers) != fmt.Sprintf("%q", tt.answers) || (err == nil) != tt.ok {
			t.Errorf("%s:\n got %q, %v\nwant %q", tt.what, answers, err, tt.answers)
		}
		if tt.ok && req != nil && (req.User != "account of me" || req.To.String() != "a.example:443") {
			t.Errorf("%s: request of %q to %v", tt.what, req.User, req.To)
		}
		if !tt.ok && (req != nil || proxy.ReasonOf(err) != proxy.AuthenticationFailed) {
			t.Errorf("%s: %v, %v", tt.what, req, err)
		}
	}
}

func TestBadRequests(t *testing.T) {
	for _, tt := range []struct{ request, status, has string }{
		{"GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n", "405", "\r\nProxy-Status: tributary; error=http_request_error\r\nAllow: CONNECT\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 89\r\nConnection: close\r\n\r\n" + helpText},
		{"HEAD / HTTP/1.0\r\n\r\n", "405", "Connection: close\r\n\r\n"},
		{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", "405", helpText},
		{"PRI * HTTP/2.0\r\n\r\n", "505", "HTTP/1.1"},
		{"CONNECT a.example HTTP/1.1\r\nHost: a\r\n\r\n", "400", "host:port"},
		{"CONNECT a.example: HTTP/1.1\r\nHost: a\r\n\r\n", "400", "host:port"},
		{"CONNECT a.example:65536 HTTP/1.1\r\nHost: a\r\n\r\n", "400", ""},
		{"CONNECT 2001:db8::1:443 HTTP/1.1\r\nHost: a\r\n\r\n", "400", ""},
		{"CONNECT [a.example]:443 HTTP/1.1\r\nHost: a\r\n\r\n", "400", ""},
		{"CONNECT user@a.example:443 HTTP/1.1\r\nHost: a\r\n\r\n", "400", ""},
		{"CONNECT /path HTTP/1.1\r\nHost: a\r\n\r\n", "400", "host:port"},
		{"CONNECT http://a.example:443 HTTP/1.1\r\nHost: a\r\n\r\n", "400", ""},
		{"CONNECT a.example:443 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", "400", "no content"},
		{"CONNECT a.example:443 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", "400", "no content"},
		{"CONNECT a.example:443 HTTP/1.1\r\nHost\r\n\r\n", "400", ""},
		{"CONNECT\r\n\r\n", "400", ""},
		{"\x05\x01\x00\r\n\r\n", "400", ""},
		{"CONNECT a.example:443 HTTP/1.1\r\nX: " + strings.Repeat("x", 20<<10), "431", ""},
		{"CONNECT " + strings.Repeat("x", 20<<10), "431", ""},
		{"CONNECT a.example:443 HTTP/1.1\r\n" + strings.Repeat("X: y\r\n", 4<<10), "431", ""},
	} {
		answers, req, err := talk(t, &Server{}, tt.request)
		if err == nil || req != nil || len(answers) != 1 || !strings.HasPrefix(answers[0], "HTTP/1.1 "+tt.status+" "+text(tt.status)+"\r\n") || !strings.Contains(answers[0], tt.has) {
			t.Errorf("%.80q: %q, %v; want %s with %q", tt.request, answers, err, tt.status, tt.has)
		}
		if strings.HasPrefix(tt.request, "HEAD") && !strings.HasSuffix(answers[0], "\r\n\r\n") {
			t.Error("the answer to HEAD has a body")
		}
	}
}

func text(status string) string {
	var n int
	fmt.Sscan(status, &n)
	return http.StatusText(n)
}

func TestGoodRequests(t *testing.T) {
	padding := "X: " + strings.Repeat("x", 15<<10) + "\r\n"
	for _, tt := range []struct{ request, to, early string }{
		{bare, "a.example:443", ""},
		{"CONNECT a.example:443 HTTP/1.0\r\n\r\nearly", "a.example:443", "early"},
		{"CONNECT a.example:443 HTTP/1.1\n\nearly", "a.example:443", "early"},
		{"CONNECT [2001:db8::1]:22 HTTP/1.1\r\nHost: other:1\r\nContent-Length: 0\r\n\r\n\r\n", "[2001:db8::1]:22", "\r\n"},
		{"CONNECT [::ffff:192.0.2.1]:22 HTTP/1.1\r\nHost: a\r\n\r\n", "192.0.2.1:22", ""},
		{"CONNECT a.example:443 HTTP/1.1\r\n" + padding + "\r\nearly", "a.example:443", "early"},
	} {
		answers, req, err := talk(t, &Server{}, tt.request)
		if err != nil || len(answers) > 0 || req.To.String() != tt.to || string(req.Early) != tt.early {
			t.Errorf("%.80q: %+v, %q, %v", tt.request, req, answers, err)
		}
	}
}

// TestStatus walks all reasons: each has a status and a type of RFC 9209, none is a
// success, and the client reads back what the two can say.
func TestStatus(t *testing.T) {
	if len(outcomes) != len(proxy.Reasons()) {
		t.Errorf("the table has %d reasons of %d", len(outcomes), len(proxy.Reasons()))
	}
	lossy := map[proxy.Reason]proxy.Reason{
		proxy.AddressUnsupported: proxy.NetworkUnreachable,
		proxy.RelayUnreachable:   proxy.HostUnreachable,
		proxy.Duplicate:          proxy.Failed,
		200:                      proxy.Failed,
	}
	for _, r := range append(proxy.Reasons(), 200) {
		status, typ := Status(r)
		if status < 400 || status > 599 || http.StatusText(status) == "" || status == http.StatusProxyAuthRequired || typ == "" {
			t.Errorf("%v: %d %s", r, status, typ)
		}
		want, ok := lossy[r]
		if !ok {
			want = r
		}
		if got := Reason(status, "other; error=dns_error, tributary; error="+typ+"; details=\"x\""); got != want {
			t.Errorf("%v: %d %s reads as %v, want %v", r, status, typ, got, want)
		}
	}
	for status, want := range map[int]proxy.Reason{403: proxy.NotAllowed, 407: proxy.AuthenticationFailed, 500: proxy.Failed,
		501: proxy.CommandUnsupported, 502: proxy.Failed, 503: proxy.HostUnreachable, 504: proxy.TimedOut, 429: proxy.Overloaded} {
		if got := Reason(status, ""); got != want {
			t.Errorf("%d alone reads as %v, want %v", status, got, want)
		}
		if got := Reason(status, "x; error=made_up"); got != want {
			t.Errorf("%d with an unknown type reads as %v, want %v", status, got, want)
		}
	}
}

func TestRefusalText(t *testing.T) {
	status, typ := Status(proxy.Refused)
	a := &answer{status: status, errorType: typ, details: "connection refused", text: "connection refused\n"}
	const want = "HTTP/1.1 502 Bad Gateway\r\nProxy-Status: tributary; error=connection_refused; details=\"connection refused\"\r\n" +
		"Content-Type: text/plain; charset=utf-8\r\nContent-Length: 19\r\nConnection: close\r\n\r\nconnection refused\n"
	if got := string(a.appendTo(nil, http.MethodConnect)); got != want {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

func FuzzAccept(f *testing.F) {
	for _, s := range []string{bare + "early", signed, forged + signed, "GET / HTTP/1.1\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"CONNECT [::1]:1 HTTP/1.0\r\n\r\n", "CONNECT a:1 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"} {
		f.Add([]byte(s), uint8(1))
	}
	f.Fuzz(func(t *testing.T, in []byte, firstSize uint8) {
		s := &Server{}
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
		rest, err := io.ReadAll(server)
		if stream := append(req.Early, rest...); err != nil || len(in) < proxytest.Window && !bytes.HasSuffix(in, stream) {
			t.Fatalf("the stream %q, %v is not the end of %q", stream, err, in)
		}
		// Said again by our own client, it is the same request.
		opening := append(AppendConnect(nil, req.To, "", ""), req.Early...)
		client, server = proxytest.Wire(0)
		client.Write(opening[:min(len(opening), proxytest.Window)])
		again, err := s.Accept(server, nil)
		if err != nil || again.To != req.To || !bytes.HasPrefix(req.Early, again.Early) {
			t.Fatalf("%v with %q became %v with %q, %v", req.To, req.Early, again.To, again.Early, err)
		}
	})
}

var errIO = errors.New("the line is cut")
