package gateway

import (
	"testing"

	"tributary/mptcp"
)

func TestPulse(t *testing.T) {
	was := pulse{sent: 10, received: 20, extra: 1, total: 2}
	for name, row := range map[string]struct {
		now   pulse
		still bool
	}{
		"nothing":          {was, true},
		"something sent":   {pulse{sent: 11, received: 20, extra: 1, total: 2}, false},
		"something came":   {pulse{sent: 10, received: 21, extra: 1, total: 2}, false},
		"sent again":       {pulse{sent: 10, received: 20, resent: 1, extra: 1, total: 2}, false},
		"a subflow ended":  {pulse{sent: 10, received: 20, extra: 0, total: 1}, false},
		"not acknowledged": {pulse{sent: 10, received: 20, extra: 1, total: 2, unacked: 1}, false},
	} {
		if got := row.now.still(was); got != row.still {
			t.Errorf("%s: still %v", name, got)
		}
	}
	waits := pulse{sent: 10, unacked: 5}
	if waits.still(waits) {
		t.Error("still, with bytes that may be lost")
	}
}

// A subflow that is not yet there comes about without a change of the pulse.
func TestJoined(t *testing.T) {
	f := &followed{live: map[subflowKey]mptcp.Subflow{{}: {State: mptcp.Established}}}
	if !f.joined() {
		t.Error("not joined")
	}
	f.live[subflowKey{}] = mptcp.Subflow{State: mptcp.SynSent}
	if f.joined() {
		t.Error("joined before the handshake has ended")
	}
	if f = (&followed{reach: cut}); f.joined() {
		t.Error("joined without a subflow")
	}
}
