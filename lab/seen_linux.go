package lab

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// maxSeen bounds the memory of ended connections.
const maxSeen = 10000

// Seen is a TCP connection as the final server saw it.
type Seen struct {
	Peer      netip.AddrPort `json:"peer"`
	Port      uint16         `json:"port"`      // the server's
	Multipath bool           `json:"multipath"` // MPTCP in use, not fallen back to TCP
	In        int64          `json:"in"`        // bytes that the server read
	Out       int64          `json:"out"`       // bytes that it wrote
	Open      bool           `json:"open"`
	Since     time.Time      `json:"since"`
}

// seenListener hands out connections that are entered in the server's book.
type seenListener struct {
	net.Listener
	server *Server
}

func (l seenListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	sc := &seenConn{Conn: c, tcp: c.(*net.TCPConn), server: l.server, since: time.Now()}
	l.server.mu.Lock()
	defer l.server.mu.Unlock()
	if l.server.closed {
		c.Close()
		return nil, net.ErrClosed
	}
	l.server.open[sc] = struct{}{}
	return sc, nil
}

// A seenConn counts what passes. It has no ReadFrom and WriteTo, which would go
// past the counters.
type seenConn struct {
	net.Conn
	tcp     *net.TCPConn
	server  *Server
	since   time.Time
	in, out atomic.Int64
	once    sync.Once
}

func (c *seenConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.in.Add(int64(n))
	return n, err
}

func (c *seenConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.out.Add(int64(n))
	return n, err
}

// CloseWrite ends our direction; net/http wants it for an orderly end.
func (c *seenConn) CloseWrite() error { return c.tcp.CloseWrite() }

func (c *seenConn) Close() error {
	c.once.Do(func() {
		last := c.seen(false)
		c.server.mu.Lock()
		defer c.server.mu.Unlock()
		delete(c.server.open, c)
		if len(c.server.past) < maxSeen {
			c.server.past = append(c.server.past, last)
		}
	})
	return c.Conn.Close()
}

func (c *seenConn) seen(open bool) Seen {
	multipath, err := c.tcp.MultipathTCP()
	peer := c.RemoteAddr().(*net.TCPAddr).AddrPort()
	return Seen{
		Peer:      netip.AddrPortFrom(peer.Addr().Unmap(), peer.Port()),
		Port:      c.LocalAddr().(*net.TCPAddr).AddrPort().Port(),
		Multipath: multipath && err == nil,
		In:        c.in.Load(), Out: c.out.Load(), Open: open, Since: c.since,
	}
}
