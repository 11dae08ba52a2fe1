package gateway

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"time"

	"tributary/mptcp"
	"tributary/proto/join"
)

// TestKnock sees that MPTCP alone is an answer.
func TestKnock(t *testing.T) {
	if err := mptcp.Supported(); err != nil {
		t.Skip(err)
	}
	relay, err := mptcp.Listen(t.Context(), "tcp", "127.0.0.1:0", true, nil)
	must(t, err)
	defer relay.Close()
	portal, err := mptcp.Listen(t.Context(), "tcp", "127.0.0.1:0", false, nil)
	must(t, err)
	defer portal.Close()
	for what, c := range map[string]struct {
		at   net.Addr
		want bool
	}{
		"the relay": {relay.Addr(), true},
		"a portal":  {portal.Addr(), false},
		"nobody":    {&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}, false},
	} {
		at := c.at.(*net.TCPAddr).AddrPort()
		g := &Gateway{upstream: &upstream{to: join.Link{Port: at.Port()}}}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		// It is the port for connections that counts, not the one of probes.
		if got := g.knock(ctx, netip.MustParseAddr("127.0.0.1"), netip.AddrPortFrom(at.Addr(), 9)); got != c.want {
			t.Errorf("%s: %v", what, got)
		}
		cancel()
	}
}
