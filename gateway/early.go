package gateway

import (
	"sync"
	"time"

	"tributary/proxy"
)

// Opening says when a client is told that its stream is open.
type Opening uint8

// The openings. A client that speaks SOCKS or HTTP CONNECT expects the answer to
// mean something, and waiting for it costs R+P: one round trip to the relay and
// one from there to the final server. A client that need not wait sends its first
// bytes at once, and they travel right behind the request. The price of not
// waiting is that a refusal comes as a reset instead of a code, and that a
// browser's own choice between addresses (RFC 8305) sees every one succeed.
//
//	case                                        answer to the client
//	final server reached lately                 at once; if it fails after all, a reset,
//	                                            and the next answers for it wait
//	unknown final server, ports 80 and 443      at once, same remedy
//	unknown final server, other ports           when the relay has answered, with its reason
//	failed lately                               when the relay has answered
//	an address family that the relay lacks      refused at once
//
// A request waits for bytes of the client only on ports 80 and 443, where the
// client speaks first for sure, and there for [earlyWait] at most: SSH, SMTP and
// FTP servers speak first.
const (
	Auto   Opening = iota // by the table above
	Honest                // always wait
	Eager                 // never wait
)

// Chosen by us.
const (
	// reachedFor is how long a final server counts as reached lately: what answered
	// minutes ago nearly always answers now, and a wrong guess costs a reset.
	reachedFor = 10 * time.Minute

	// failedFor is how long a failure makes clients wait for the truth.
	failedFor = time.Minute

	// lackFor is how long a family is refused without asking. Relays do gain
	// addresses, if rarely.
	lackFor = 10 * time.Minute

	// earlyWait is how long a web client, told that its stream is open, gets to send
	// its first bytes, so that they leave in one segment with the request. Sent a
	// moment later they would travel over the slower link, which the kernel takes
	// for the idler one: in the reference lab that cost 10 ms. Clients on the same
	// host need 0.1 ms, those behind Wi-Fi a few.
	earlyWait = 5 * time.Millisecond

	// memorySize bounds what is remembered; a household reaches some hundreds of
	// servers in ten minutes.
	memorySize = 4096
)

// A memory holds what lately happened with final servers.
type memory struct {
	mode Opening
	now  func() time.Time

	mu      sync.Mutex
	reached map[proxy.Addr]time.Time
	failed  map[proxy.Addr]time.Time
	lacks   [2]time.Time // IPv4, IPv6: when the relay said that it has no such family
}

func newMemory(mode Opening) *memory {
	return &memory{
		mode: mode, now: time.Now,
		reached: make(map[proxy.Addr]time.Time), failed: make(map[proxy.Addr]time.Time),
	}
}

// waits reports whether the client's answer has to wait for the relay's.
func (m *memory) waits(to proxy.Addr) bool {
	switch m.mode {
	case Honest:
		return true
	case Eager:
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	if t, ok := m.failed[to]; ok && now.Sub(t) < failedFor {
		return true
	}
	if t, ok := m.reached[to]; ok && now.Sub(t) < reachedFor {
		return false
	}
	return !web(to)
}

// early returns how long to wait for a client's first bytes before the request is
// sent: not at all where the server may be the one to speak first.
func (m *memory) early(to proxy.Addr) time.Duration {
	if web(to) && !m.waits(to) && !m.refuses(to) {
		return earlyWait
	}
	return 0
}

// web reports whether the client speaks first for sure.
func web(to proxy.Addr) bool { return to.Port() == 80 || to.Port() == 443 }

// refuses reports whether the answer is known without asking: the relay has no
// address of that family. A setting of Eager or Honest does not change facts.
func (m *memory) refuses(to proxy.Addr) bool {
	if to.IsName() {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.lacks[family(to)]
	return !t.IsZero() && m.now().Sub(t) < lackFor
}

// learn takes the relay's answer for a final server.
func (m *memory) learn(to proxy.Addr, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	if err == nil {
		delete(m.failed, to)
		remember(m.reached, to, now)
		return
	}
	switch reason := proxy.ReasonOf(err); {
	case reason == proxy.AddressUnsupported && !to.IsName():
		m.lacks[family(to)] = now
	case reason == proxy.RelayUnreachable || reason == proxy.Overloaded:
		// says nothing about the final server
	default:
		delete(m.reached, to)
		remember(m.failed, to, now)
	}
}

func family(a proxy.Addr) int {
	if a.IP().Is4() {
		return 0
	}
	return 1
}

// remember notes a time and keeps the map small: of a few entries, which the map
// picks at random, the oldest goes.
func remember(m map[proxy.Addr]time.Time, a proxy.Addr, now time.Time) {
	if _, known := m[a]; !known && len(m) >= memorySize {
		var oldest proxy.Addr
		looked := 0
		for k, t := range m {
			if looked == 0 || t.Before(m[oldest]) {
				oldest = k
			}
			if looked++; looked == 8 {
				break
			}
		}
		delete(m, oldest)
	}
	m[a] = now
}
