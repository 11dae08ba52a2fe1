package gateway

import (
	"net"

	"tributary/proxy"
)

// socketOf returns the socket below a session's stream to the relay, or nil: the
// connection was given back, or is none of the kernel's.
func socketOf(c proxy.Conn) *net.TCPConn {
	if t, ok := c.(*tunnel); ok {
		conn := t.conn.Load()
		if conn == nil {
			return nil
		}
		c = conn.stream
	}
	below, ok := c.(interface{ NetConn() net.Conn })
	if !ok {
		return nil
	}
	socket, _ := below.NetConn().(*net.TCPConn)
	return socket
}

// baseOf returns what a connection had carried before the session that it carries.
func (f *flows) baseOf(c *net.TCPConn) map[subflowKey]volume {
	f.mu.Lock()
	defer f.mu.Unlock()
	known := f.conns[c]
	if known == nil {
		return nil
	}
	return known.base // rest replaces it, and never changes it
}
