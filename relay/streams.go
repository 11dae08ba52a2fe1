package relay

import (
	"errors"
	"fmt"
	"net"
	"time"

	"tributary/mptcp"
	"tributary/proto/socks"
	"tributary/proxy"
	"tributary/splice"
)

// errLater is no failure: the visitor has said who it is, and will come back to
// what it wants. That is waited for in another goroutine, because handshakes have
// grown this one's stack, and gateways keep many connections waiting.
var errLater = errors.New("the request is to come")

var errNoAccount = errors.New("the account is gone, or has a new secret")

// welcome reads the login of a gateway of ours.
func (v *visitor) welcome(c *splice.TLSConn, first []byte) error {
	_, rest, answer, err := (&socks.Server{Auth: v.authenticate}).Login(c, first)
	if err != nil {
		return err
	}
	v.tls, v.first, v.answer = c, rest, answer
	return errLater
}

// next waits for a gateway's next request, and reads it.
func (v *visitor) next() (*proxy.Request, error) {
	if v.full {
		v.conn.SetDeadline(time.Now().Add(handshakeTime))
	} else {
		v.conn.SetDeadline(time.Now().Add(requestTime))
	}
	stream := splice.Framed(v.tls, v.first, v.answer, func() { v.free.Store(true) })
	v.first, v.answer = nil, nil
	if err := stream.Wait(); err != nil {
		return nil, fmt.Errorf("wait for a request: %w", err)
	}
	if c, ok := v.conn.(*net.TCPConn); ok {
		mptcp.RenewCongestion(c) // at worst the answer is slow
	}
	if a, ok := v.relay.config.Accounts.Get(v.login.Name); !ok || a.Secret != v.login.Secret {
		return nil, errNoAccount
	}
	v.conn.SetDeadline(time.Now().Add(handshakeTime))
	req, flow, err := socks.AcceptOwn(stream, v.login.Name)
	if err != nil {
		return nil, err
	}
	if req, err = v.admit(req); err != nil {
		return nil, err
	}
	return v.relay.flows.once(req, flow)
}
