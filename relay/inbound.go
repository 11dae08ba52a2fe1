package relay

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"tributary/account"
	"tributary/proto/httpconnect"
	"tributary/proto/socks"
	"tributary/proxy"
	"tributary/speed"
	"tributary/splice"
)

// firstRead is how much is read to see what a connection speaks: a TLS client's
// hello, or all of a pipelined SOCKS5 opening with a full segment of data.
const firstRead = 2048

var (
	errNotTrusted = errors.New("clear text from a network that is not trusted")
	errUnknown    = errors.New("neither TLS, SOCKS nor HTTP CONNECT")
)

// ServeConn takes one connection from its first byte to its end. Serve calls it
// for each that it accepts. The end of live resets the connection.
func (r *Relay) ServeConn(live context.Context, c proxy.Conn) {
	done := make(chan struct{})
	r.serve(live, c, (*visitor).request, func() { close(done) })
	<-done
}

// serve returns when the connection's session runs by itself, or is over; ended
// is called when it is over.
func (r *Relay) serve(live context.Context, c proxy.Conn, request func(*visitor) (*proxy.Request, error), ended func()) {
	r.attend(live, &visitor{relay: r, conn: c}, request, ended)
}

// attend serves a visitor's next request.
func (r *Relay) attend(live context.Context, v *visitor, request func(*visitor) (*proxy.Request, error), ended func()) {
	stop := context.AfterFunc(live, func() { splice.Abort(v.conn) })
	defer stop() // when the session runs by itself: it may wait for room to answer
	req, err := request(v)
	if errors.Is(err, errLater) {
		go r.attend(live, v, (*visitor).next, ended)
		return
	}
	if err != nil {
		// Strangers knock all day: this is not news.
		r.config.Log.Debug("no request", "client", v.conn.RemoteAddr(), "account", v.account, "err", err)
		splice.Abort(v.conn)
		v.leave()
		ended()
		return
	}
	v.conn.SetDeadline(time.Time{})
	ctx := live
	if speed.Is(req.To) {
		ctx = speed.For(live, req.User)
	}
	// Only now may the connection have much to send: those of strangers and warm ones
	// are not looked at.
	socket, ok := v.conn.(*net.TCPConn)
	if ok {
		r.trimmer.Add(socket)
		r.stale.Add(socket)
	}
	r.sessions.Serve(ctx, req, func() {
		if ok {
			r.trimmer.Remove(socket)
			r.stale.Remove(socket)
		}
		if v.free.Swap(false) {
			go r.attend(live, v, (*visitor).next, ended) // not on this stack, which may be the last one's
			return
		}
		v.leave()
		ended()
	})
}

// A visitor is a connection on its way to a request.
type visitor struct {
	relay   *Relay
	conn    proxy.Conn
	account string // once authenticated and counted
	full    bool   // authenticated, but over the account's limit

	// Of gateways of ours, whose connections carry one stream after the other:
	tls    *splice.TLSConn
	first  []byte          // read and not used yet
	answer []byte          // goes in front of the first stream
	login  account.Account // as it was then
	free   atomic.Bool     // the last stream has ended in good order
}

// request reads who the visitor is and what it wants.
func (v *visitor) request() (*proxy.Request, error) {
	v.conn.SetDeadline(time.Now().Add(handshakeTime))
	first := make([]byte, firstRead)
	n, err := v.conn.Read(first)
	if err != nil {
		return nil, fmt.Errorf("read the first byte: %w", err)
	}
	first = first[:n]
	if first[0] != 0x16 {
		if !v.trusted() {
			return nil, errNotTrusted
		}
		return v.plain(v.conn, first)
	}
	c := splice.ServerTLS(v.conn, first, v.relay.tls)
	if err := c.Handshake(); err != nil {
		return nil, fmt.Errorf("TLS handshake: %w", err)
	}
	first = make([]byte, firstRead)
	if n, err = c.Read(first); err != nil {
		return nil, fmt.Errorf("read the first byte inside TLS: %w", err)
	}
	if c.ConnectionState().NegotiatedProtocol == socks.ALPN {
		return nil, v.welcome(c, first[:n])
	}
	return v.plain(c, first[:n])
}

// plain reads the request of a protocol that is clear text in itself.
func (v *visitor) plain(c proxy.Conn, first []byte) (req *proxy.Request, err error) {
	switch first[0] {
	case 4, 5:
		req, err = (&socks.Server{Auth: v.authenticate}).Accept(c, first)
	case 'C':
		req, err = (&httpconnect.Server{Auth: v.authenticate}).Accept(c, first)
	default:
		return nil, errUnknown
	}
	if err != nil {
		return nil, err
	}
	return v.admit(req)
}

// admit refuses a request of an account that has too many connections.
func (v *visitor) admit(req *proxy.Request) (*proxy.Request, error) {
	if v.full {
		req.Refuse(proxy.Overloaded)
		return nil, fmt.Errorf("account %s: %s", req.User, proxy.Overloaded)
	}
	return req, nil
}

// authenticate checks a login and counts the connection. From then on the visitor
// may take its time: it is a warm connection.
func (v *visitor) authenticate(name, password string) (string, bool) {
	a, ok := v.relay.config.Accounts.Verify(name, password)
	if !ok {
		return "", false
	}
	if v.account == "" && !v.full {
		if v.relay.limits.enterAccount(a.Name) {
			v.account = a.Name
		} else {
			v.full = true
		}
	}
	v.login = a
	if v.account != "" {
		v.conn.SetDeadline(time.Now().Add(requestTime))
	}
	return a.Name, true
}

func (v *visitor) leave() {
	if v.account != "" {
		v.relay.limits.leaveAccount(v.account)
	}
}

func (v *visitor) trusted() bool {
	from, err := netip.ParseAddrPort(v.conn.RemoteAddr().String())
	if err != nil {
		return false
	}
	for _, p := range v.relay.config.TrustClear {
		if p.Contains(from.Addr().Unmap()) {
			return true
		}
	}
	return false
}
