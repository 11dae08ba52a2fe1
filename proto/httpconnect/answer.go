package httpconnect

import (
	"fmt"
	"net/http"
	"net/netip"
	"strconv"

	"tributary/proxy"
)

// established is the answer of success. It has no header but its first line: RFC
// 9110 forbids Content-Length and Transfer-Encoding there.
const established = "HTTP/1.1 200 Connection established\r\n\r\n"

// An answer is a refusal.
type answer struct {
	status    int
	errorType string // RFC 9209
	details   string
	text      string // for people; without it, the status in words
	why       error  // for the log
}

// appendTo appends an answer behind which the connection ends. The answer to HEAD
// has no body.
func (a *answer) appendTo(b []byte, method string) []byte {
	if a.status == http.StatusProxyAuthRequired {
		return appendChallenge(b, false)
	}
	text := a.text
	if text == "" {
		text = http.StatusText(a.status) + "\n"
	}
	b = fmt.Appendf(b, "HTTP/1.1 %d %s\r\n", a.status, http.StatusText(a.status))
	if a.errorType != "" {
		b = append(b, "Proxy-Status: "+proxyName+"; error="+a.errorType...)
		if a.details != "" {
			b = append(b, "; details="+strconv.Quote(a.details)...)
		}
		b = append(b, "\r\n"...)
	}
	if a.status == http.StatusMethodNotAllowed {
		b = append(b, "Allow: CONNECT\r\n"...)
	}
	b = fmt.Appendf(b, "Content-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\nConnection: close\r\n\r\n", len(text))
	if method == http.MethodHead {
		return b
	}
	return append(b, text...)
}

// appendChallenge appends the answer that asks for a password. It has no body, so
// that a client need not read one before its second try.
func appendChallenge(b []byte, again bool) []byte {
	b = append(b, "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\""+proxyName+"\", charset=\"UTF-8\"\r\nContent-Length: 0\r\n"...)
	if !again {
		b = append(b, "Connection: close\r\nProxy-Connection: close\r\n"...)
	}
	return append(b, "\r\n"...)
}

// hangUp writes an answer and closes c, in bounded time, and returns why. It reads
// what the client still sends: to close on unread bytes makes TCP send a reset,
// which may overtake the answer.
func hangUp(c proxy.Conn, a *answer, method string) error {
	if err := proxy.HangUp(c, a.appendTo(nil, method)); err != nil {
		return fmt.Errorf("http answer %d: %w", a.status, err)
	}
	return fmt.Errorf("http request: answered %d: %w", a.status, a.why)
}

// pending is a request that was read and not answered.
type pending struct{ c proxy.Conn }

// Accept writes 200 and returns the connection itself. HTTP has no place for the
// bound address.
func (p *pending) Accept(netip.AddrPort) (proxy.Conn, error) {
	if _, err := p.c.Write([]byte(established)); err != nil {
		p.c.Close()
		return nil, fmt.Errorf("http answer: %w", err)
	}
	return p.c, nil
}

// Refuse writes the status of a reason and closes the connection. It returns when
// the client has closed too, at the latest after [proxy.LingerTime].
func (p *pending) Refuse(r proxy.Reason) error {
	status, typ := Status(r)
	a := &answer{status: status, errorType: typ, details: r.String(), text: r.String() + "\n"}
	if err := proxy.HangUp(p.c, a.appendTo(nil, http.MethodConnect)); err != nil {
		return fmt.Errorf("http answer %d: %w", status, err)
	}
	return nil
}
