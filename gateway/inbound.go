package gateway

import (
	"context"
	"fmt"
	"time"

	"tributary/proto/httpconnect"
	"tributary/proto/socks"
	"tributary/proxy"
	"tributary/splice"
)

const (
	// handshakeTime is what a client gets to say what it wants. Clients are near.
	handshakeTime = 10 * time.Second

	// firstRead takes a whole SOCKS opening or the head of an HTTP request.
	firstRead = 2048
)

// ServeConn takes one client from its first byte to its end. Serve calls it for
// each that it accepts. The end of live resets the connection.
func (g *Gateway) ServeConn(live context.Context, c proxy.Conn) {
	done := make(chan struct{})
	g.serveConn(live, c, func() { close(done) })
	<-done
}

// serveConn returns when the client's session runs by itself, or is over; ended
// is called when it is over.
func (g *Gateway) serveConn(live context.Context, c proxy.Conn, ended func()) {
	stop := context.AfterFunc(live, func() { splice.Abort(c) })
	c.SetDeadline(time.Now().Add(handshakeTime))
	req, err := readRequest(c)
	stop()
	if err != nil {
		g.config.Log.Debug("no request", "client", c.RemoteAddr(), "err", err)
		c.Close()
		ended()
		return
	}
	c.SetDeadline(time.Time{})
	select {
	case g.begun <- struct{}{}:
	default:
	}
	g.sessions.Serve(live, req, ended)
}

// readRequest tells the protocols apart by their first byte: 4 and 5 are SOCKS,
// and what remains is HTTP or nothing.
func readRequest(c proxy.Conn) (*proxy.Request, error) {
	first := make([]byte, firstRead)
	n, err := c.Read(first)
	if err != nil {
		return nil, fmt.Errorf("read the first byte: %w", err)
	}
	first = first[:n]
	switch b := first[0]; {
	case b == 4 || b == 5:
		return (&socks.Server{}).Accept(c, first)
	case b >= 'A' && b <= 'Z':
		return (&httpconnect.Server{}).Accept(c, first)
	}
	return nil, fmt.Errorf("first byte %#02x is neither SOCKS nor HTTP", first[0])
}
