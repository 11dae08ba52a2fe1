package gateway

import (
	"testing"
	"time"
)

// What a session carries is looked at soon after it has begun, where looks cost little.
func TestNextLook(t *testing.T) {
	const ms = time.Millisecond
	looked := time.Now()
	for _, c := range []struct {
		what                     string
		begun, again, took, want time.Duration // since the last look; begun less than 0: none
	}{
		{"nothing has begun", -1, time.Second, ms, time.Second},
		{"begun at once", 1, time.Second, ms, 250*ms + 1},
		{"begun later", 500 * ms, time.Second, ms, 750 * ms},
		{"begun last", 900 * ms, time.Second, ms, time.Second},
		{"soon anyway", 100 * ms, 250 * ms, ms, 250 * ms},
		{"a look costs much", 100 * ms, time.Second, 15 * ms, 400 * ms},
		{"a look costs very much", 100 * ms, time.Second, 200 * ms, 4100 * ms},
		{"and nothing has begun", -1, time.Second, 20 * ms, 2 * time.Second},
	} {
		begun := time.Time{}
		if c.begun >= 0 {
			begun = looked.Add(c.begun)
		}
		if got := nextLook(looked, begun, c.again, c.took).Sub(looked); got != c.want {
			t.Errorf("%s: after %v, want %v", c.what, got, c.want)
		}
	}
}
