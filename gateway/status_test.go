package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// The members that scripts rely on, and their types. Links are in another test:
// they need a kernel.
const contract = `{
	"ready": true,
	"relay": {"address": "192.0.2.7:8443", "state": "up", "rtt_ms": 40.1},
	"links": [{"name": "eth1", "mode": "on", "state": "up", "rtt_ms": 40.2, "loss": 0.0,
		"bytes_up": 1, "bytes_down": 2, "mptcp": "ok"}],
	"pool": {"warm": 4, "hits": 10, "misses": 0},
	"sessions": {"open": 1, "total": 11}
}`

// wantMembers sees that got has every member of want, of the same type.
func wantMembers(t *testing.T, at string, got, want any) {
	t.Helper()
	if g, w := fmt.Sprintf("%T", got), fmt.Sprintf("%T", want); g != w {
		t.Errorf("%s is a %s, want a %s", at, g, w)
		return
	}
	switch want := want.(type) {
	case map[string]any:
		for name, w := range want {
			g, ok := got.(map[string]any)[name]
			if !ok {
				t.Errorf("%s has no member %q", at, name)
				continue
			}
			wantMembers(t, at+"."+name, g, w)
		}
	case []any:
		for i, g := range got.([]any) {
			wantMembers(t, fmt.Sprintf("%s[%d]", at, i), g, want[0])
		}
	}
}

func statusJSON(t *testing.T, s Status) (doc any) {
	t.Helper()
	b, err := json.Marshal(s)
	if err == nil {
		err = json.Unmarshal(b, &doc)
	}
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func TestStatusKeepsItsContract(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var want any
		if err := json.Unmarshal([]byte(contract), &want); err != nil {
			t.Fatal(err)
		}
		g, _ := newTestGateway(t)
		s := g.Status()
		wantMembers(t, "status", statusJSON(t, s), want)
		if s.Relay.Address != "192.0.2.2:8443" || s.Relay.State != "connecting" || s.Pool.Warm != 0 {
			t.Errorf("before the first try: %+v", s)
		}
		ctx, end := context.WithCancel(t.Context())
		defer time.Sleep(time.Minute) // last words
		defer end()
		go g.Warm(ctx)
		time.Sleep(5 * time.Second)
		s = g.Status()
		wantMembers(t, "status", statusJSON(t, s), want)
		if s.Relay.State != "up" || s.Relay.RTTms != 40 || s.Pool.Warm != poolFloor {
			t.Errorf("at rest: %+v", s)
		}
	})
}
