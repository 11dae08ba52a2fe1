// Package httpconnect speaks HTTP's CONNECT method (RFC 9110 section 9.3.6), over
// HTTP/1.1 and 1.0, as a server and as a client, with Basic authentication (RFC
// 7617). Refusals say why in a Proxy-Status header (RFC 9209).
//
// It is a proxy for tunnels only: other methods are answered with 405. A request
// with content, which CONNECT does not have, is refused, since nobody can tell
// whether that content belongs to the stream.
package httpconnect

import (
	"bufio"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"

	"tributary/proxy"
)

// Chosen by us.
const (
	maxHeader  = 16 << 10 // of a request or an answer, with its first line
	maxTries   = 3        // requests on one connection until one authenticates
	bufferSize = 4 << 10  // what one read may take: the request, and a ClientHello behind it
)

// helpText is for people who typed the proxy's address into a browser.
const helpText = "This is a proxy for CONNECT and SOCKS, not a web server. Set it as HTTPS or SOCKS proxy.\n"

// A Server is the server side of CONNECT.
type Server struct {
	// Auth says which account a user and password belong to. Nil is no
	// authentication.
	Auth func(user, password string) (account string, ok bool)
}

// Accept reads a request from c, where first are the bytes that were read from it
// already. What came behind the request is the request's Early.
//
// A client that lacks the right password gets 407 and may try again on the same
// connection, which is what curl and browsers do. The caller bounds the time
// with a deadline on c; Accept bounds the size, 16 KiB for a request, and the
// number of tries. When Accept fails, it has told the client why and has closed
// c, and the error is for the log; that takes up to [proxy.LingerTime].
func (s *Server) Accept(c proxy.Conn, first []byte) (*proxy.Request, error) {
	src := &source{first: first, c: c}
	br := bufio.NewReaderSize(src, bufferSize)
	for try := 1; ; try++ {
		src.left = maxHeader
		hr, err := http.ReadRequest(br)
		if err != nil {
			return nil, src.refuse(err)
		}
		to, refusal := target(hr)
		if refusal != nil {
			return nil, hangUp(c, refusal, hr.Method)
		}
		account, err := s.authenticate(hr)
		if err == nil {
			return s.request(c, to, account, br, len(src.first))
		}
		again := try < maxTries && stays(hr) && br.Buffered() == 0 && len(src.first) == 0
		if !again {
			return nil, hangUp(c, &answer{status: http.StatusProxyAuthRequired, why: err}, hr.Method)
		}
		if _, err := c.Write(appendChallenge(nil, true)); err != nil {
			c.Close()
			return nil, fmt.Errorf("http answer: %w", err)
		}
	}
}

// request makes the request out of a good one. What br holds is early data.
func (s *Server) request(c proxy.Conn, to proxy.Addr, account string, br *bufio.Reader, unread int) (*proxy.Request, error) {
	req := &proxy.Request{To: to, User: account, Inbound: "http", Pending: &pending{c}}
	if n := br.Buffered() + unread; n > 0 {
		req.Early = make([]byte, n)
		if _, err := io.ReadFull(br, req.Early); err != nil { // all of it is in memory
			c.Close()
			return nil, fmt.Errorf("http early data: %w", err)
		}
	}
	if from := c.RemoteAddr(); from != nil {
		req.From, _ = netip.ParseAddrPort(from.String())
	}
	return req, nil
}

// target returns where a request wants to go, or the answer to a request that is no
// good.
func target(r *http.Request) (proxy.Addr, *answer) {
	bad := func(status int, why string) (proxy.Addr, *answer) {
		return proxy.Addr{}, &answer{status: status, why: errors.New(why), text: why + "\n"}
	}
	switch {
	case r.ProtoMajor != 1:
		return bad(http.StatusHTTPVersionNotSupported, "this proxy speaks HTTP/1.1")
	case r.Method != http.MethodConnect:
		status, typ := Status(proxy.CommandUnsupported)
		return proxy.Addr{}, &answer{status: status, errorType: typ, text: helpText,
			why: &proxy.Error{Reason: proxy.CommandUnsupported, Err: fmt.Errorf("method %.20q", r.Method)}}
	case r.ContentLength != 0 || len(r.TransferEncoding) > 0:
		return bad(http.StatusBadRequest, "CONNECT has no content")
	}
	to, err := proxy.ParseAddr(r.RequestURI)
	if err != nil || to.IsName() && strings.HasPrefix(r.RequestURI, "[") {
		return bad(http.StatusBadRequest, "the target of CONNECT has to be host:port, with IPv6 in brackets")
	}
	return to, nil
}

// authenticate returns the account of a request. Its error is for the log.
func (s *Server) authenticate(r *http.Request) (account string, err error) {
	if s.Auth == nil {
		return "", nil
	}
	fail := func(format string, args ...any) (string, error) {
		return "", &proxy.Error{Reason: proxy.AuthenticationFailed, Err: fmt.Errorf(format, args...)}
	}
	header := r.Header.Get("Proxy-Authorization")
	if header == "" {
		return fail("http: no Proxy-Authorization")
	}
	scheme, credentials, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Basic") {
		return fail("http: Proxy-Authorization is not Basic")
	}
	text, err := base64.StdEncoding.DecodeString(strings.TrimSpace(credentials))
	if err != nil {
		return fail("http: Proxy-Authorization is not base64")
	}
	user, password, _ := strings.Cut(string(text), ":")
	account, ok := s.Auth(user, password)
	if !ok {
		return fail("http: user %q: unknown, or wrong password", user)
	}
	return account, nil
}

// stays reports whether the client lets its connection serve another request.
func stays(r *http.Request) bool {
	if r.Close || !r.ProtoAtLeast(1, 1) {
		return false
	}
	return !strings.EqualFold(r.Header.Get("Proxy-Connection"), "close")
}

// A source is what the request is read from: the bytes read before, then the
// connection. It tells the connection's errors, and the end of what a header may
// have, from errors of the request.
type source struct {
	first []byte
	c     proxy.Conn
	left  int // bytes of header that may still come
	err   error
}

func (s *source) Read(p []byte) (n int, err error) {
	if len(s.first) > 0 {
		n = copy(p, s.first)
		s.first = s.first[n:]
		s.left -= n
		return n, nil
	}
	if s.left <= 0 {
		return 0, errTooLong
	}
	n, s.err = s.c.Read(p[:min(len(p), s.left)])
	s.left -= n
	return n, s.err
}

var errTooLong = errors.New("header is too long")

// refuse answers a request that could not be read.
func (s *source) refuse(err error) error {
	switch {
	case s.err != nil:
		s.c.Close()
		return fmt.Errorf("http request: %w", s.err)
	case s.left <= 0:
		return hangUp(s.c, &answer{status: http.StatusRequestHeaderFieldsTooLarge, why: errTooLong}, "")
	}
	return hangUp(s.c, &answer{status: http.StatusBadRequest, why: err}, "")
}
