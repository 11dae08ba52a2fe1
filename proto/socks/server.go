package socks

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"

	"tributary/proxy"
)

// A Server is the server side of SOCKS4, 4a and 5.
type Server struct {
	// Auth says which account a user and password belong to. With it, SOCKS5
	// clients must authenticate (RFC 1929) and SOCKS4, which has no passwords, is
	// refused. Nil is no authentication; clients that offer nothing but a password
	// are then let in with any.
	Auth func(user, password string) (account string, ok bool)

	own bool // the client is a gateway of ours
}

// Accept reads a request from c, where first are the bytes that were read from it
// already, at least the one that tells the protocol. What came behind the request
// is the request's Early.
//
// It waits for no byte that it does not need, and answers what a client sent in
// one piece with one write. The caller bounds the time with a deadline on c;
// the size is bounded by the protocol, about 1 KiB. When Accept fails, it has
// told the client why, where the protocol can, and has closed c, and the error is
// for the log; that takes up to [proxy.LingerTime].
func (s *Server) Accept(c proxy.Conn, first []byte) (*proxy.Request, error) {
	in := newInput(c, first)
	version, err := in.peek()
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("socks version: %w", err)
	}
	var req *proxy.Request
	switch version {
	case Version5:
		req, err = s.accept5(in)
	case Version4:
		req, err = s.accept4(in)
	default:
		err = fmt.Errorf("socks version %d", version)
	}
	if err != nil {
		return nil, farewell(in, err)
	}
	return s.pend(req, in, version), nil
}

// farewell ends a connection that brought no request, with the answers that wait.
func farewell(in *input, err error) error {
	if len(in.out) > 0 {
		proxy.HangUp(in.c, in.out)
	} else {
		in.c.Close()
	}
	return err
}

// pend makes what was read a request that waits for its answer.
func (s *Server) pend(req *proxy.Request, in *input, version byte) *proxy.Request {
	req.Pending = &pending{c: in.c, out: in.out, version: version, code: s.code}
	req.Early = bytes.Clone(in.unread)
	if from := in.c.RemoteAddr(); from != nil {
		req.From, _ = netip.ParseAddrPort(from.String())
	}
	return req
}

// accept5 leaves the answer to a failure in in.out.
func (s *Server) accept5(in *input) (*proxy.Request, error) {
	account, err := s.login(in)
	if err != nil {
		return nil, err
	}
	if err := in.flush(); err != nil {
		return nil, fmt.Errorf("socks5 method: %w", err)
	}
	return s.request(in, account)
}

// login reads what comes before a request.
func (s *Server) login(in *input) (account string, err error) {
	offered, err := ReadGreeting(in)
	if err != nil {
		return "", err
	}
	method := s.choose(offered)
	in.out = AppendSelection(in.out, method)
	switch method {
	case noAcceptableMethod:
		return "", &proxy.Error{Reason: proxy.AuthenticationFailed, Err: fmt.Errorf("socks5 greeting: no acceptable method in %x", offered)}
	case UserPass:
		return s.authenticate(in)
	}
	return "", nil
}

func (s *Server) request(in *input, account string) (*proxy.Request, error) {
	m, err := ReadRequest(in)
	if err == nil && m.Command != Connect {
		err = &proxy.Error{Reason: proxy.CommandUnsupported, Err: fmt.Errorf("socks5 request: command %d", m.Command)}
	}
	var refusal *proxy.Error
	if errors.As(err, &refusal) {
		in.out = AppendReply(in.out, s.code(refusal.Reason), netip.AddrPort{})
	}
	if err != nil {
		return nil, err
	}
	return &proxy.Request{Inbound: "socks5", To: m.To, User: account}, nil
}

// choose picks one of the methods that a client offers.
func (s *Server) choose(offered []byte) byte {
	switch {
	case s.Auth == nil && bytes.IndexByte(offered, NoAuth) >= 0:
		return NoAuth
	case bytes.IndexByte(offered, UserPass) >= 0:
		return UserPass
	}
	return noAcceptableMethod
}

// authenticate is the exchange of RFC 1929.
func (s *Server) authenticate(in *input) (account string, err error) {
	if err := in.flush(); err != nil {
		return "", fmt.Errorf("socks5 method: %w", err)
	}
	user, password, err := ReadAuth(in)
	if err != nil {
		return "", err
	}
	ok := true
	if s.Auth != nil {
		account, ok = s.Auth(user, password)
	}
	in.out = AppendAuthReply(in.out, ok)
	if !ok {
		return "", &proxy.Error{Reason: proxy.AuthenticationFailed, Err: fmt.Errorf("socks5: user %q: unknown, or wrong password", user)}
	}
	return account, nil
}

// accept4 leaves the answer to a failure in in.out.
func (s *Server) accept4(in *input) (*proxy.Request, error) {
	m, err := ReadRequest4(in)
	switch {
	case err != nil:
	case s.Auth != nil:
		err = &proxy.Error{Reason: proxy.AuthenticationFailed, Err: errors.New("socks4: has no authentication, which is required here")}
	case m.Command != Connect:
		err = &proxy.Error{Reason: proxy.CommandUnsupported, Err: fmt.Errorf("socks4 request: command %d", m.Command)}
	}
	var refusal *proxy.Error
	if errors.As(err, &refusal) {
		in.out = AppendReply4(in.out, Code4(refusal.Reason), netip.AddrPort{})
	}
	if err != nil {
		return nil, err
	}
	return &proxy.Request{Inbound: "socks4", To: m.To}, nil
}

// pending is a request that was read and not answered. It holds no input.
type pending struct {
	c       proxy.Conn
	out     []byte // replies that wait for the last one
	version byte
	code    func(proxy.Reason) byte // of SOCKS5
}

// Accept writes the success reply and returns the connection itself.
func (p *pending) Accept(bound netip.AddrPort) (proxy.Conn, error) {
	if _, err := p.c.Write(p.reply(Succeeded, Granted4, bound)); err != nil {
		p.c.Close()
		return nil, fmt.Errorf("socks%d reply: %w", p.version, err)
	}
	p.out = nil
	return p.c, nil
}

// Refuse writes the code of a reason and closes the connection. It returns when
// the client has closed too, at the latest after [proxy.LingerTime].
func (p *pending) Refuse(r proxy.Reason) error {
	if err := proxy.HangUp(p.c, p.reply(p.code(r), Code4(r), netip.AddrPort{})); err != nil {
		return fmt.Errorf("socks%d reply: %w", p.version, err)
	}
	return nil
}

// reply returns the replies that waited, and the last one.
func (p *pending) reply(code5, code4 byte, bound netip.AddrPort) []byte {
	if p.version == Version5 {
		return AppendReply(p.out, code5, bound)
	}
	return AppendReply4(p.out, code4, bound)
}
