package egress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"tributary/proxy"
)

// Fixed by RFC 8305 section 8, as recommended values.
const (
	resolutionDelay = 50 * time.Millisecond  // how long IPv4 addresses wait for IPv6 ones
	attemptDelay    = 250 * time.Millisecond // between the starts of two attempts
)

// Chosen by us: more addresses than this are not tried, so that one request
// cannot make the relay knock at a hundred doors.
const maxAttempts = 10

// A race connects to one of the addresses of a name (RFC 8305):
//
//	AAAA ──▶ policy ──▶┐            every 250 ms, or as soon as one fails,
//	                   ├─ turn about ─▶ attempt ─▶ attempt ─▶ …   first one up wins
//	A ─────▶ policy ──▶┘
//
// Its loop runs in one goroutine; lookups and attempts run in others and are
// waited for.
type race struct {
	d    *Dialer
	name string
	port uint16

	answers chan answer
	results chan result
	wg      sync.WaitGroup

	waiting  []netip.Addr // allowed and not tried, in the order to try
	last6    bool         // the last attempt was IPv6
	lookups  int          // not answered yet
	running  int          // attempts not ended
	started  int          // attempts in all
	mayStart bool
	timer    *time.Timer

	dialErrs   []error
	lookupErrs []error
	refusals   []error
}

type answer struct {
	v6    bool
	addrs []netip.Addr
	err   error
}

type result struct {
	conn proxy.Conn
	err  error
}

// race resolves addr's name and returns the first connection to come up.
func (d *Dialer) race(ctx context.Context, addr proxy.Addr) (proxy.Conn, error) {
	r := &race{
		d: d, name: addr.Name(), port: addr.Port(),
		answers: make(chan answer, 2), results: make(chan result, maxAttempts),
		mayStart: true, timer: time.NewTimer(attemptDelay),
	}
	defer r.timer.Stop()
	ctx, cancel := context.WithCancel(ctx)
	r.lookup(ctx, true)
	r.lookup(ctx, false)
	c := r.run(ctx)
	ended := ctx.Err()
	cancel()
	r.wg.Wait()
	r.clear(ended)
	if c != nil {
		return c, nil
	}
	return nil, r.failure()
}

func (r *race) lookup(ctx context.Context, v6 bool) {
	r.lookups++
	r.wg.Go(func() {
		network := "ip4"
		if v6 {
			network = "ip6"
		}
		addrs, err := r.d.resolver.LookupNetIP(ctx, network, r.name)
		r.answers <- answer{v6, addrs, err}
	})
}

// run returns the winner, or nil when there is none or ctx has ended.
func (r *race) run(ctx context.Context) proxy.Conn {
	for {
		if r.mayStart && len(r.waiting) > 0 && r.started < maxAttempts {
			r.start(ctx)
		}
		if r.running == 0 && r.lookups == 0 && (len(r.waiting) == 0 || r.started == maxAttempts) {
			return nil
		}
		select {
		case a := <-r.answers:
			r.take(a)
		case res := <-r.results:
			r.running--
			if res.err == nil {
				return res.conn
			}
			r.dialErrs = append(r.dialErrs, res.err)
			r.mayStart = true
		case <-r.timer.C:
			r.mayStart = true
		case <-ctx.Done():
			return nil
		}
	}
}

// take applies the policy to an answer and decides whether to wait for the other
// one.
func (r *race) take(a answer) {
	r.lookups--
	if a.err != nil {
		r.lookupErrs = append(r.lookupErrs, a.err)
	}
	for _, ip := range a.addrs {
		ip = ip.Unmap().WithZone("")
		if err := r.d.Check(ip); err != nil {
			r.refusals = append(r.refusals, err)
			continue
		}
		r.waiting = append(r.waiting, ip)
	}
	switch {
	case r.started > 0 || len(r.waiting) == 0:
	case r.lookups == 0 || a.v6:
		r.mayStart = true
	default:
		r.mayStart = false
		r.timer.Reset(resolutionDelay)
	}
}

// start dials the next address: of the other family than the last, if there is
// one, beginning with IPv6.
func (r *race) start(ctx context.Context) {
	i := 0
	for j, ip := range r.waiting {
		if ip.Is6() != r.last6 {
			i = j
			break
		}
	}
	ip := r.waiting[i]
	r.waiting = append(r.waiting[:i], r.waiting[i+1:]...)
	r.last6 = ip.Is6()
	r.running++
	r.started++
	r.mayStart = false
	r.timer.Reset(attemptDelay)
	r.wg.Go(func() {
		c, err := r.d.attempt(ctx, netip.AddrPortFrom(ip, r.port))
		r.results <- result{c, err}
	})
}

// clear closes connections that lost, and notes what was not to be had in time.
func (r *race) clear(ended error) {
	for ; r.lookups > 0; r.lookups-- {
		if a := <-r.answers; a.err != nil && ended != nil {
			r.lookupErrs = append(r.lookupErrs, a.err)
		}
	}
	for ; r.running > 0; r.running-- {
		res := <-r.results
		switch {
		case res.err == nil:
			res.conn.Close()
		case ended != nil:
			r.dialErrs = append(r.dialErrs, res.err)
		}
	}
}

// failure says why there is no connection.
func (r *race) failure() error {
	if err := mostTelling(r.dialErrs); err != nil {
		return err
	}
	if len(r.refusals) > 0 {
		return r.refusals[0]
	}
	for _, err := range r.lookupErrs {
		if !notFound(err) {
			return &proxy.Error{Reason: lookupReason(err), Err: fmt.Errorf("resolve name: %w", err)}
		}
	}
	if len(r.lookupErrs) > 0 {
		return &proxy.Error{Reason: proxy.NameNotFound, Err: fmt.Errorf("resolve name: %w", r.lookupErrs[0])}
	}
	return &proxy.Error{Reason: proxy.NameNotFound, Err: errors.New("resolve name: it has no address")}
}

func notFound(err error) bool {
	var dns *net.DNSError
	return errors.As(err, &dns) && dns.IsNotFound
}

// lookupReason keeps trouble of the resolver apart from names that do not exist:
// a client may try again later.
func lookupReason(err error) proxy.Reason {
	switch r := proxy.ReasonOf(err); r {
	case proxy.TimedOut, proxy.Overloaded:
		return r
	}
	return proxy.HostUnreachable
}
