package splice

import (
	"crypto/tls"
	"io"
	"net"
)

// A TLSConn is a TLS session made for joining: it can wait for input without a
// buffer, and it tells a cut-off stream from a finished one.
type TLSConn struct {
	*tls.Conn
	below *below
}

// ServerTLS starts the server side of TLS on c. First are bytes already read
// from c. The handshake runs with the first Read, Write or Handshake.
func ServerTLS(c net.Conn, first []byte, config *tls.Config) *TLSConn {
	b := newBelow(c, first)
	return &TLSConn{tls.Server(b, config), b}
}

// ClientTLS starts the client side of TLS on c, as ServerTLS does the other.
func ClientTLS(c net.Conn, config *tls.Config) *TLSConn {
	b := newBelow(c, nil)
	return &TLSConn{tls.Client(b, config), b}
}

// Read is tls.Conn's, but a peer that ends TCP without ending TLS has not
// finished: that is io.ErrUnexpectedEOF (RFC 8446 section 6.1).
func (c *TLSConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err == io.EOF && c.below.ended {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// NetConn returns the connection below TLS: the socket itself.
func (c *TLSConn) NetConn() net.Conn { return c.below.Conn }

func (c *TLSConn) tryRead(p []byte) (int, error) {
	c.below.try = true
	n, err := c.Read(p)
	c.below.try = false
	return n, err
}

func (c *TLSConn) waitRead() error {
	return c.below.sock.waitRead()
}

// below is the connection as TLS sees it. Only the reading goroutine uses its
// fields.
type below struct {
	net.Conn
	sock  patient // nil where the connection cannot say that it would block
	first []byte  // bytes to be read before those of Conn
	try   bool    // report errNothing where Read would block
	ended bool    // the TCP stream has ended
}

func newBelow(c net.Conn, first []byte) *below {
	b := &below{Conn: c, first: first}
	if t, ok := c.(*net.TCPConn); ok {
		if p, err := newPatientTCP(t); err == nil {
			b.sock = p
		}
	}
	return b
}

// Read serves crypto/tls.
func (b *below) Read(p []byte) (n int, err error) {
	switch {
	case len(b.first) > 0:
		n = copy(p, b.first)
		if b.first = b.first[n:]; len(b.first) == 0 {
			b.first = nil
		}
		return n, nil
	case b.try:
		n, err = b.sock.tryRead(p)
	default:
		n, err = b.Conn.Read(p)
	}
	if err == io.EOF {
		b.ended = true
	}
	return n, err
}
