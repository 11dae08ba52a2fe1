package proxytest

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"tributary/proxy"
)

// Servers is a proxy.Dialer to servers in memory. To connect costs one round trip
// of Delay each way, as TCP's handshake does; early data leaves behind it.
// Addresses that nothing was said about are refused, also after a round trip.
type Servers struct {
	Delay time.Duration // one way, to every server

	mu       sync.Mutex
	handlers map[proxy.Addr]func(proxy.Conn)
	reasons  map[proxy.Addr]proxy.Reason
	dialed   []Dial
	running  sync.WaitGroup
}

// A Dial is one call of DialStream.
type Dial struct {
	To    proxy.Addr
	Early string
}

// Handle makes a server. Each connection gets a goroutine that calls h, and is
// closed when h returns.
func (s *Servers) Handle(addr proxy.Addr, h func(proxy.Conn)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.handlers == nil {
		s.handlers = make(map[proxy.Addr]func(proxy.Conn))
	}
	s.handlers[addr] = h
}

// Refuse makes dialling addr fail, after one round trip.
func (s *Servers) Refuse(addr proxy.Addr, r proxy.Reason) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reasons == nil {
		s.reasons = make(map[proxy.Addr]proxy.Reason)
	}
	s.reasons[addr] = r
}

// DialStream connects to a server that Handle made. The conn is an [*End].
func (s *Servers) DialStream(ctx context.Context, addr proxy.Addr, early []byte) (proxy.Conn, error) {
	s.mu.Lock()
	s.dialed = append(s.dialed, Dial{addr, string(early)})
	h := s.handlers[addr]
	reason, refused := s.reasons[addr]
	s.mu.Unlock()

	timer := time.NewTimer(2 * s.Delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return nil, fmt.Errorf("dial %v: %w", addr, ctx.Err())
	}
	if h == nil && !refused {
		reason, refused = proxy.Refused, true
	}
	if refused {
		return nil, &proxy.Error{Reason: reason, Err: fmt.Errorf("dial %v: %v", addr, reason)}
	}
	near, far := Wire(s.Delay)
	s.running.Go(func() {
		defer far.Close()
		time.Sleep(s.Delay) // accept returns when the handshake's last segment is there
		h(far)
	})
	if len(early) > 0 {
		if _, err := near.Write(early); err != nil {
			near.Close()
			return nil, fmt.Errorf("dial %v: early data: %w", addr, err)
		}
	}
	return near, nil
}

// Dialed returns the calls of DialStream so far.
func (s *Servers) Dialed() []Dial {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Dial(nil), s.dialed...)
}

// Wait returns when every server's goroutine has ended.
func (s *Servers) Wait() { s.running.Wait() }

// Echo is a server that sends back what it gets, until the client ends its
// direction.
func Echo(c proxy.Conn) {
	if _, err := io.Copy(c, c); err == nil {
		c.CloseWrite()
	}
}
