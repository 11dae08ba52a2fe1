package proxy

import (
	"context"
	"net/netip"
	"time"

	"tributary/splice"
)

// A Conn is a stream whose two directions end separately: CloseWrite sends the
// end of ours and leaves theirs open. *net.TCPConn and *tls.Conn are Conns.
type Conn = splice.Conn

// A Dialer opens a stream to addr. Early leaves with the first flight; it is
// not kept after DialStream returns. A failure carries a [Reason], which
// [ReasonOf] finds.
//
// A dialer may return before the far side has answered. Then a refusal is the
// error of the first Read, again with its Reason.
type Dialer interface {
	DialStream(ctx context.Context, addr Addr, early []byte) (Conn, error)
}

// A DialerFunc is a function that is a Dialer.
type DialerFunc func(ctx context.Context, addr Addr, early []byte) (Conn, error)

// DialStream calls f.
func (f DialerFunc) DialStream(ctx context.Context, addr Addr, early []byte) (Conn, error) {
	return f(ctx, addr, early)
}

// A Request is a stream that somebody asked for and nobody answered yet.
type Request struct {
	From    netip.AddrPort // who asks
	To      Addr           // where to
	User    string         // the account that authenticated, or ""
	Inbound string         // the protocol it came by: "socks5", "socks4", "http"
	Early   []byte         // bytes of the stream that came with the request
	Told    bool           // the client believes already that its stream is open
	Pending
}

// Pending is the answer that a request waits for. Exactly one of its methods is
// called, once.
type Pending interface {
	// Accept tells the client that the stream is open and returns its side of it.
	// Bound is the address from which the destination was reached, where that is
	// known, else the zero AddrPort.
	Accept(bound netip.AddrPort) (Conn, error)
	// Refuse tells the client why there is no stream, and closes its connection.
	Refuse(Reason) error
}

// A Holder is a Pending for which the answer can be left lying, to leave in one
// write with the first bytes of the stream or when the time is over. It is for
// clients that do not wait for the answer.
type Holder interface {
	AcceptWithin(bound netip.AddrPort, within time.Duration) (Conn, error)
}
