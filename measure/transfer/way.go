// Package transfer moves bytes between here and a relay's speed service and says
// when they came: the part that measurements of throughput and of handover share.
//
// Rates are those of payload, without TLS and headers, as they arrive: at this end
// for a download, and at the relay, by its own clock, for an upload, since a sender
// sees no more than its buffers.
package transfer

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"tributary/mptcp"
	"tributary/proto/join"
	"tributary/proto/socks"
	"tributary/proxy"
	"tributary/speed"
)

// A Way opens a stream to the speed service of a relay.
type Way func(ctx context.Context) (net.Conn, error)

// openTime bounds the opening of a stream: a slow satellite link takes 4 s.
const openTime = 10 * time.Second

// ErrNoService says that the relay does not answer for the service: it is older than
// that, or its operator has switched it off.
var ErrNoService = errors.New("the relay offers no measuring: it is too old, or has speed = false")

// Through returns the way by a gateway's SOCKS port, and so over the bundle.
func Through(gateway netip.AddrPort) Way {
	if a := gateway.Addr(); !a.IsValid() || a.IsUnspecified() { // as it listens, not as it is reached
		gateway = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), gateway.Port())
	}
	return func(ctx context.Context) (net.Conn, error) {
		c, err := (&mptcp.Dialer{}).Dial(ctx, gateway)
		if err != nil {
			return nil, err
		}
		return opened(ctx, c, c, "", "")
	}
}

// Line is where a connection over one link starts. One of both is enough where the
// host's routes lead traffic by its source, as a gateway's do; without such rules a
// device is needed, which Linux lets everybody bind to. The zero Line leaves it to
// the routing table.
type Line struct {
	From   netip.Addr
	Device string
}

// Over returns the way over one link, by plain TCP and TLS, to an address of the
// relay that the join link names.
func Over(l join.Link, to netip.AddrPort, line Line) Way {
	return func(ctx context.Context) (net.Conn, error) {
		d := mptcp.Dialer{Local: line.From, Device: line.Device}
		c, err := d.Dial(ctx, to)
		if err != nil {
			return nil, err
		}
		secure := tls.Client(c, &tls.Config{
			MinVersion:         tls.VersionTLS13,
			ServerName:         l.Host,
			InsecureSkipVerify: true, // in favour of the pin
			VerifyConnection: func(s tls.ConnectionState) error {
				got := sha256.Sum256(s.PeerCertificates[0].RawSubjectPublicKeyInfo)
				if subtle.ConstantTimeCompare(got[:], l.Pin[:]) != 1 {
					return errors.New("the server's key does not match the pin in the join link")
				}
				return nil
			},
		})
		return opened(ctx, c, secure, l.Account, l.Secret.Text())
	}
}

// opened asks for the service by SOCKS5 on a connection, which it closes if that
// fails.
func opened(ctx context.Context, socket *net.TCPConn, c net.Conn, user, password string) (net.Conn, error) {
	defer context.AfterFunc(ctx, func() { socket.SetDeadline(time.Unix(1, 0)) })()
	socket.SetDeadline(time.Now().Add(openTime))
	err := ask(c, user, password)
	if err == nil {
		err = socket.SetDeadline(time.Time{})
	}
	if err != nil {
		socket.Close()
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, err
	}
	return c, nil
}

func ask(c net.Conn, user, password string) error {
	b, err := socks.AppendOpening(nil, user, password, speed.Addr(), nil)
	if err != nil {
		return err
	}
	if _, err := c.Write(b); err != nil {
		return fmt.Errorf("ask for %s: %w", speed.Host, err)
	}
	if err := socks.ReadLogin(c, user); err != nil {
		return err
	}
	if _, err := socks.ReadReply(c); err != nil {
		var refused *proxy.Error
		if errors.As(err, &refused) && (refused.Reason == proxy.NameNotFound || refused.Reason == proxy.HostUnreachable) {
			return ErrNoService // SOCKS has one code for both
		}
		return err
	}
	return nil
}
