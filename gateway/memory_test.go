package gateway

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"tributary/proxy"
)

// A clock that a test turns.
type clock struct{ now time.Time }

func newTestMemory(mode Opening) (*memory, *clock) {
	m, c := newMemory(mode), &clock{time.Unix(1e9, 0)}
	m.now = func() time.Time { return c.now }
	return m, c
}

// TestOpeningTable walks the table at [Opening].
func TestOpeningTable(t *testing.T) {
	refused := &proxy.Error{Reason: proxy.Refused}
	for _, c := range []struct {
		name  string
		to    string
		learn []error // what happened there, one minute apart
		then  time.Duration
		waits bool // in the mode Auto
		early time.Duration
	}{
		{"unknown, port 443", "server.test:443", nil, 0, false, earlyWait},
		{"unknown, port 80", "192.0.2.80:80", nil, 0, false, earlyWait},
		{"unknown, port 22", "server.test:22", nil, 0, true, 0},
		{"unknown, port 8443", "server.test:8443", nil, 0, true, 0},
		{"unknown, port 0", "server.test:0", nil, 0, true, 0},
		{"reached lately", "server.test:22", []error{nil}, reachedFor - time.Second, false, 0},
		{"reached lately, web", "server.test:443", []error{nil}, reachedFor - time.Second, false, earlyWait},
		{"reached long ago", "server.test:22", []error{nil}, reachedFor, true, 0},
		{"failed lately", "server.test:22", []error{refused}, failedFor - time.Second, true, 0},
		{"failed lately, web", "server.test:443", []error{refused}, failedFor - time.Second, true, 0},
		{"failed long ago, web", "server.test:443", []error{refused}, failedFor, false, earlyWait},
		{"failed after success", "server.test:22", []error{nil, refused}, time.Second, true, 0},
		{"failed after success, later", "server.test:22", []error{nil, refused}, 2 * failedFor, true, 0},
		{"success after failure", "server.test:443", []error{refused, nil}, time.Second, false, earlyWait},
		{"relay unreachable", "server.test:443", []error{&proxy.Error{Reason: proxy.RelayUnreachable}}, 0, false, earlyWait},
		{"relay overloaded", "server.test:443", []error{&proxy.Error{Reason: proxy.Overloaded}}, 0, false, earlyWait},
		{"relay overloaded after success", "server.test:22", []error{nil, &proxy.Error{Reason: proxy.Overloaded}}, 0, false, 0},
		{"an error of no kind", "server.test:443", []error{errors.New("odd")}, 0, true, 0},
	} {
		for _, mode := range []Opening{Auto, Honest, Eager} {
			t.Run(fmt.Sprintf("%s, mode %d", c.name, mode), func(t *testing.T) {
				m, clock := newTestMemory(mode)
				to := address(c.to)
				for _, err := range c.learn {
					clock.now = clock.now.Add(time.Minute)
					m.learn(to, err)
				}
				clock.now = clock.now.Add(c.then)
				waits, early := c.waits, c.early
				switch {
				case mode == Honest:
					waits, early = true, 0
				case mode == Eager:
					waits, early = false, 0
					if web(to) {
						early = earlyWait
					}
				}
				if got := m.waits(to); got != waits {
					t.Errorf("waits: %v, want %v", got, waits)
				}
				if got := m.early(to); got != early {
					t.Errorf("early: %v, want %v", got, early)
				}
				if m.refuses(to) {
					t.Error("refuses")
				}
				if other := address("other.test:22"); mode == Auto && !m.waits(other) {
					t.Error("what happened at one server changes another")
				}
			})
		}
	}
}

// A family that the relay lacks is refused at once, whatever the mode.
func TestFamilyThatTheRelayLacks(t *testing.T) {
	lack := &proxy.Error{Reason: proxy.AddressUnsupported}
	for _, c := range []struct{ said, same, other string }{
		{"[2001:db8::7]:443", "[2001:db8::8]:22", "192.0.2.7:443"},
		{"192.0.2.7:443", "192.0.2.8:22", "[2001:db8::7]:443"},
	} {
		for _, mode := range []Opening{Auto, Honest, Eager} {
			m, clock := newTestMemory(mode)
			if m.refuses(address(c.same)) {
				t.Error("refuses before anybody asked")
			}
			m.learn(address(c.said), lack)
			if !m.refuses(address(c.said)) || !m.refuses(address(c.same)) {
				t.Errorf("%s is tried although the relay lacks its family", c.same)
			}
			if m.early(address(c.said)) != 0 {
				t.Error("its client is told that the stream is open")
			}
			if m.refuses(address(c.other)) || m.refuses(address("server.test:443")) {
				t.Error("the other family or names are refused")
			}
			clock.now = clock.now.Add(lackFor)
			if m.refuses(address(c.same)) {
				t.Error("refused for ever")
			}
		}
	}
	// A name has no family: its failure is its own.
	m, _ := newTestMemory(Auto)
	m.learn(address("server.test:443"), lack)
	if m.refuses(address("192.0.2.7:443")) || m.refuses(address("[2001:db8::7]:443")) || !m.waits(address("server.test:443")) {
		t.Error("a name's failure was taken for the relay's")
	}
}

func TestMemoryIsBounded(t *testing.T) {
	for name, err := range map[string]error{"reached": nil, "failed": &proxy.Error{Reason: proxy.Refused}} {
		m, clock := newTestMemory(Auto)
		at := func(i int) proxy.Addr { return address(fmt.Sprintf("s%d.test:22", i)) }
		for i := range memorySize + 200 {
			clock.now = clock.now.Add(time.Millisecond)
			m.learn(at(i), err)
			if n := len(m.reached) + len(m.failed); n > memorySize {
				t.Fatalf("%s: %d entries", name, n)
			}
		}
		if err == nil && m.waits(at(memorySize+199)) {
			t.Errorf("%s: the latest is forgotten", name)
		}
	}
}
