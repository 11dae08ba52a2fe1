package socks

import (
	"errors"
	"fmt"
	"io"
	"net/netip"

	"tributary/proxy"
)

// Fixed by RFC 1928 and RFC 1929.
const (
	Version5    = 5    // first byte of a SOCKS5 greeting, request and reply
	authVersion = 1    // first byte of RFC 1929's messages; not 5
	NoAuth      = 0x00 // method: no authentication
	UserPass    = 0x02 // method: user and password, RFC 1929

	Connect      = 1
	Bind         = 2
	UDPAssociate = 3
)

// A Message is a SOCKS5 request: a command and the address it is about.
type Message struct {
	Command byte
	To      proxy.Addr
}

// AppendGreeting appends a client's first message, the methods it offers (RFC
// 1928 section 3). It takes the first 255 of them.
//
//	+----+----------+----------+
//	|VER | NMETHODS | METHODS  |
//	+----+----------+----------+
//	| 1  |    1     | 1 to 255 |
//	+----+----------+----------+
func AppendGreeting(b []byte, methods ...byte) []byte {
	methods = methods[:min(len(methods), 255)]
	b = append(b, Version5, byte(len(methods)))
	return append(b, methods...)
}

// ReadGreeting reads what [AppendGreeting] appends.
func ReadGreeting(r io.Reader) (methods []byte, err error) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, fmt.Errorf("socks5 greeting: %w", err)
	}
	if head[0] != Version5 {
		return nil, fmt.Errorf("socks5 greeting: version %d", head[0])
	}
	methods = make([]byte, head[1])
	if err := readRest(r, methods); err != nil {
		return nil, fmt.Errorf("socks5 greeting: %w", err)
	}
	return methods, nil
}

// AppendSelection appends a server's answer to the greeting (RFC 1928 section 3).
//
//	+----+--------+
//	|VER | METHOD |
//	+----+--------+
//	| 1  |   1    |
//	+----+--------+
func AppendSelection(b []byte, method byte) []byte {
	return append(b, Version5, method)
}

// ReadSelection reads what [AppendSelection] appends. That the server accepts no
// offered method is a [*proxy.Error] with AuthenticationFailed.
func ReadSelection(r io.Reader) (method byte, err error) {
	var m [2]byte
	if _, err := io.ReadFull(r, m[:]); err != nil {
		return 0, fmt.Errorf("socks5 method: %w", err)
	}
	switch {
	case m[0] != Version5:
		return 0, failed("socks5 method: version %d", m[0])
	case m[1] == noAcceptableMethod:
		return 0, &proxy.Error{Reason: proxy.AuthenticationFailed, Err: errors.New("socks5: server accepts no offered authentication method")}
	}
	return m[1], nil
}

// AppendAuth appends a client's user and password (RFC 1929 section 2). It fails
// where one is longer than the 255 bytes that the form can hold.
//
//	+----+------+----------+------+----------+
//	|VER | ULEN |  UNAME   | PLEN |  PASSWD  |
//	+----+------+----------+------+----------+
//	| 1  |  1   | 1 to 255 |  1   | 1 to 255 |
//	+----+------+----------+------+----------+
func AppendAuth(b []byte, user, password string) ([]byte, error) {
	if len(user) > 255 || len(password) > 255 {
		return b, errors.New("socks5 authentication: user or password is longer than 255 bytes")
	}
	b = append(b, authVersion, byte(len(user)))
	b = append(b, user...)
	b = append(b, byte(len(password)))
	return append(b, password...), nil
}

// ReadAuth reads what [AppendAuth] appends. Empty fields, which RFC 1929 does not
// have but clients send, are read as such.
func ReadAuth(r io.Reader) (user, password string, err error) {
	var b [256]byte
	if _, err := io.ReadFull(r, b[:2]); err != nil {
		return "", "", fmt.Errorf("socks5 authentication: %w", err)
	}
	if b[0] != authVersion {
		return "", "", fmt.Errorf("socks5 authentication: version %d", b[0])
	}
	n := int(b[1])
	if err := readRest(r, b[:n+1]); err != nil { // the user and PLEN
		return "", "", fmt.Errorf("socks5 authentication: %w", err)
	}
	user = string(b[:n])
	n = int(b[n])
	if err := readRest(r, b[:n]); err != nil {
		return "", "", fmt.Errorf("socks5 authentication: %w", err)
	}
	return user, string(b[:n]), nil
}

// AppendAuthReply appends a server's verdict on user and password (RFC 1929
// section 2).
//
//	+----+--------+
//	|VER | STATUS |   0 is success
//	+----+--------+
//	| 1  |   1    |
//	+----+--------+
func AppendAuthReply(b []byte, ok bool) []byte {
	if ok {
		return append(b, authVersion, 0)
	}
	return append(b, authVersion, authenticationWrong)
}

// ReadAuthReply reads what [AppendAuthReply] appends. A refusal is a
// [*proxy.Error] with AuthenticationFailed. The version byte is not looked at: a
// number of servers put 5 there.
func ReadAuthReply(r io.Reader) error {
	var m [2]byte
	if _, err := io.ReadFull(r, m[:]); err != nil {
		return fmt.Errorf("socks5 authentication reply: %w", err)
	}
	if m[1] != 0 {
		return &proxy.Error{Reason: proxy.AuthenticationFailed, Err: errors.New("socks5: server refuses user or password")}
	}
	return nil
}

// AppendRequest appends a client's request (RFC 1928 section 4). An address that
// is not valid becomes 0.0.0.0.
//
//	+----+-----+-------+------+----------+----------+
//	|VER | CMD |  RSV  | ATYP | DST.ADDR | DST.PORT |
//	+----+-----+-------+------+----------+----------+
//	| 1  |  1  | X'00' |  1   | Variable |    2     |
//	+----+-----+-------+------+----------+----------+
func AppendRequest(b []byte, m Message) []byte {
	return appendAddr(append(b, Version5, m.Command, 0), m.To)
}

// ReadRequest reads what [AppendRequest] appends; the reserved byte may have any
// value. What a server has to answer with a code of its own, an unknown address
// type or an impossible host name, is a [*proxy.Error].
func ReadRequest(r io.Reader) (Message, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return Message{}, fmt.Errorf("socks5 request: %w", err)
	}
	if head[0] != Version5 {
		return Message{}, failed("socks5 request: version %d", head[0])
	}
	to, err := readAddr(r, head[3])
	if err != nil {
		return Message{}, fmt.Errorf("socks5 request: %w", err)
	}
	return Message{Command: head[1], To: to}, nil
}

// AppendReply appends a server's answer to a request (RFC 1928 section 6). Bound
// is the server's own address towards the destination; the zero AddrPort, not
// known, becomes 0.0.0.0:0.
//
//	+----+-----+-------+------+----------+----------+
//	|VER | REP |  RSV  | ATYP | BND.ADDR | BND.PORT |
//	+----+-----+-------+------+----------+----------+
//	| 1  |  1  | X'00' |  1   | Variable |    2     |
//	+----+-----+-------+------+----------+----------+
func AppendReply(b []byte, code byte, bound netip.AddrPort) []byte {
	return appendAddr(append(b, Version5, code, 0), proxy.IPAddr(bound))
}

// ReadReply reads what [AppendReply] appends and returns the bound address, or the
// zero AddrPort where the server sent a host name. A refusal is a [*proxy.Error]
// with its [Reason], also where the server hangs up right behind the code.
func ReadReply(r io.Reader) (bound netip.AddrPort, err error) {
	var head [4]byte
	n, err := io.ReadFull(r, head[:])
	switch {
	case n > 0 && head[0] != Version5:
		return bound, failed("socks5 reply: version %d", head[0])
	case n > 1 && head[1] != Succeeded:
		code := head[1]
		if err == nil {
			readAddr(r, head[3]) // so that the stream ends where the message does
		}
		return bound, &proxy.Error{Reason: Reason(code), Err: fmt.Errorf("socks5: server answers %d: %v", code, Reason(code))}
	case err != nil:
		return bound, fmt.Errorf("socks5 reply: %w", err)
	}
	addr, err := readAddr(r, head[3])
	var malformed *proxy.Error
	switch {
	case errors.As(err, &malformed) && malformed.Reason == proxy.NameNotFound:
		return bound, nil // a bound name that no host can have, yet the stream is open
	case errors.As(err, &malformed):
		return bound, failed("socks5 reply: %w", err)
	case err != nil:
		return bound, fmt.Errorf("socks5 reply: %w", err)
	case addr.IsName():
		return bound, nil
	}
	return netip.AddrPortFrom(addr.IP(), addr.Port()), nil
}
