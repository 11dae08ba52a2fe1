// Package speed is a source and a sink of bytes at the relay, behind a name that no
// resolver knows: whoever has an account, or a gateway before them, measures their
// links against it, with our instrument or with any HTTP client, and needs no test
// server. What is moved goes through the same session as everything else.
//
// A [Service] stands in front of the relay's egress and answers requests for
// [Host] itself. The two resources are
//
//	GET  /down?bytes=N&rate=R     N bytes of zeros, or as many as fit into [MaxTime]
//	POST /up?every=MS             takes bytes, and says all the while how many came
//
// over HTTP/1.1 (RFC 9112), one request on a stream.
package speed

import (
	"context"
	"strings"
	"sync"
	"time"

	"tributary/proxy"
)

// Host and Port are where the service is. The name ends in a domain that never
// resolves (RFC 6761 section 6.4), so that behind a relay without the service it
// leads nowhere.
const (
	Host = "speed.tributary.invalid"
	Port = 80
)

// Chosen by us.
const (
	// MaxTime is the longest that one transfer may take: several times what a link
	// needs to show its rate.
	MaxTime = 2 * time.Minute

	// MaxOpen is how many transfers an account may have at once: one over each of
	// eight links, and as many again for somebody else in the house.
	MaxOpen = 16

	// Allowance is how many bytes an account may move at once, both ways together, and
	// Refill what it gets back in a second. Eight seconds of a 1 Gbit/s line are 1 GB,
	// and a run has a dozen of these at most. To fetch a large file costs the relay as
	// much, and nobody limits that: this is for loops that were left running.
	Allowance = 20e9
	Refill    = Allowance / 3600
)

// Addr is Host and Port, as a request names them.
func Addr() proxy.Addr {
	a, err := proxy.NameAddr(Host, Port)
	if err != nil {
		panic(err) // a constant
	}
	return a
}

// Is reports whether a request is for the service.
func Is(to proxy.Addr) bool { return to.Port() == Port && strings.EqualFold(to.Name(), Host) }

// A Service is a proxy.Dialer that answers for [Host] and hands on everything else.
// Make it with [New].
type Service struct {
	next proxy.Dialer

	mu       sync.Mutex
	accounts map[string]*use
}

// A use is what an account takes of the service.
type use struct {
	open int
	left float64 // bytes that it may move, as of then
	then time.Time
}

// New returns a Service in front of a dialer.
func New(next proxy.Dialer) *Service { return &Service{next: next, accounts: make(map[string]*use)} }

// accountKey is where a context holds the account.
type accountKey struct{}

// For returns a context that tells DialStream whose request it dials for.
func For(ctx context.Context, account string) context.Context {
	return context.WithValue(ctx, accountKey{}, account)
}

// DialStream answers for Host, and dials everything else. It never fails for Host:
// what is wrong with a request, the stream says in HTTP.
func (s *Service) DialStream(ctx context.Context, to proxy.Addr, early []byte) (proxy.Conn, error) {
	if !Is(to) {
		return s.next.DialStream(ctx, to, early)
	}
	account, _ := ctx.Value(accountKey{}).(string)
	c := newStream(s, account)
	if _, err := c.Write(early); err != nil {
		return nil, err
	}
	return c, nil
}

// enter admits one more transfer of an account.
func (s *Service) enter(account string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.of(account)
	if u.open >= MaxOpen || u.left <= 0 {
		return false
	}
	u.open++
	return true
}

func (s *Service) leave(account string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.of(account).open--
}

// take charges bytes, and reports whether the account may go on.
func (s *Service) take(account string, n int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.of(account)
	u.left -= float64(n)
	return u.left > 0
}

// of returns an account's use as of now. The caller holds the lock. There are no
// more of them than accounts.
func (s *Service) of(account string) *use {
	now := time.Now()
	u := s.accounts[account]
	if u == nil {
		u = &use{left: Allowance, then: now}
		s.accounts[account] = u
	}
	u.left = min(Allowance, u.left+Refill*now.Sub(u.then).Seconds())
	u.then = now
	return u
}
