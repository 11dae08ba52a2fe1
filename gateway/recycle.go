package gateway

import (
	"tributary/mptcp"
	"tributary/splice"
)

// begin has the connection carry one stream, and gives it back when both
// directions of that have ended in good order: its congestion windows have grown
// by then. Hello goes in front of the stream. It reports false, and does nothing,
// where a connection is as long as its stream: to servers that are not ours. After a
// large upload the connection ends, too: the relay's TLS keeps a large buffer then.
func (c *relayConn) begin(hello []byte, back func(*relayConn) bool) bool {
	if c.instance == 0 {
		return false
	}
	if c.socket != nil {
		mptcp.RenewCongestion(c.socket) // at worst an upload is slow
	}
	next := *c // what is still done to c must not reach its next stream
	next.pending = false
	var stream *splice.FramedConn
	stream = splice.Framed(c.tls, nil, hello, func() {
		if stream.Bulky() || !next.tls.Quiet() || !back(&next) {
			next.Close()
		}
	})
	c.stream = stream
	return true
}
