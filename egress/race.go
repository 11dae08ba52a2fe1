package egress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
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
// What the history advises goes first: the address that connected last, then the
// family that may be trusted. Its loop runs in one goroutine; lookups and attempts run in others and are
// waited for.
type race struct {
	d    *Dialer
	name string
	port uint16
	ride []byte // may ride in the first attempt's SYN
	advice

	answers chan answer
	results chan result
	wg      sync.WaitGroup

	waiting  []netip.Addr // allowed and not tried, in the order to try
	last6    bool         // the last attempt was IPv6
	lookups  int          // not answered yet
	running  int          // attempts not ended
	attempts []try        // all that were started
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

// A try is an attempt as the history sees it.
type try struct {
	ip    netip.Addr
	begun time.Time
	given time.Duration // until the next might start
	err   error
}

type result struct {
	which int // of race.attempts
	conn  proxy.Conn
	sent  bool // and ride is written
	err   error
}

// race resolves addr's name and returns the first connection to come up. Early is
// what may ride in a SYN, and sent whether the winner's had it.
func (d *Dialer) race(ctx context.Context, addr proxy.Addr, early []byte) (c proxy.Conn, sent bool, err error) {
	r := &race{
		d: d, name: addr.Name(), port: addr.Port(), ride: early, advice: d.history.advise(addr.Name()),
		answers: make(chan answer, 2), results: make(chan result, maxAttempts),
		mayStart: true, timer: time.NewTimer(attemptDelay),
	}
	defer r.timer.Stop()
	r.last6 = !r.first6
	ctx, cancel := context.WithCancel(ctx)
	r.lookup(ctx, true)
	r.lookup(ctx, false)
	won := r.run(ctx)
	ended := ctx.Err()
	cancel()
	r.wg.Wait()
	r.clear(ended)
	if won.conn != nil {
		return won.conn, won.sent, nil
	}
	return nil, false, r.failure()
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

// run returns the winner, or nothing when there is none or ctx has ended.
func (r *race) run(ctx context.Context) result {
	for {
		if r.mayStart && len(r.waiting) > 0 && len(r.attempts) < maxAttempts {
			r.start(ctx)
		}
		if r.running == 0 && r.lookups == 0 && (len(r.waiting) == 0 || len(r.attempts) == maxAttempts) {
			return result{}
		}
		select {
		case a := <-r.answers:
			r.take(a)
		case res := <-r.results:
			r.running--
			if res.err == nil {
				r.won(res.which)
				return res
			}
			r.attempts[res.which].err = res.err
			r.dialErrs = append(r.dialErrs, res.err)
			r.mayStart = true
		case <-r.timer.C:
			r.mayStart = true
		case <-ctx.Done():
			return result{}
		}
	}
}

// take applies the policy to an answer and decides whether to wait for the other
// one: not if what is to be tried first is here.
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
	case len(r.attempts) > 0 || len(r.waiting) == 0:
	case r.lookups == 0 || a.v6 == r.first6 || slices.Contains(r.waiting, r.good):
		r.mayStart = true
	default:
		r.mayStart = false
		r.timer.Reset(resolutionDelay)
	}
}

// start dials the next address: first the one that connected last, then of the
// other family than the last, if there is one.
func (r *race) start(ctx context.Context) {
	i := slices.Index(r.waiting, r.good)
	if i < 0 {
		i = max(0, slices.IndexFunc(r.waiting, func(ip netip.Addr) bool { return ip.Is6() != r.last6 }))
	}
	ip := r.waiting[i]
	r.waiting = slices.Delete(r.waiting, i, i+1)
	r.last6 = ip.Is6()
	r.running++
	r.mayStart = false
	which, delay := len(r.attempts), r.delay(ip)
	r.attempts = append(r.attempts, try{ip: ip, begun: time.Now(), given: delay})
	r.timer.Reset(delay)
	var ride []byte
	if which == 0 { // the others come because an answer is missing, perhaps for its sake
		ride = r.ride
	}
	r.wg.Go(func() {
		c, sent, err := r.d.attempt(ctx, netip.AddrPortFrom(ip, r.port), ride)
		r.results <- result{which, c, sent, err}
	})
}

// delay is how long an attempt has before the next one. Little, if its family is
// doubtful and the other is there or may come; otherwise a short delay would only
// knock at more doors.
func (r *race) delay(ip netip.Addr) time.Duration {
	other := r.lookups > 0 || slices.ContainsFunc(r.waiting, func(w netip.Addr) bool { return w.Is6() != ip.Is6() })
	if other && ip != r.good && r.standings[index(ip.Is6())] != trusted {
		return quickDelay
	}
	return attemptDelay
}

// won tells the history. The other family has lost if it had its time ahead of
// the winner and was silent, or could not be reached.
func (r *race) won(which int) {
	w := r.attempts[which]
	lost := slices.ContainsFunc(r.attempts[:which], func(t try) bool {
		if t.ip.Is6() == w.ip.Is6() {
			return false
		}
		switch {
		case t.err == nil:
			return w.begun.Sub(t.begun) >= t.given
		default:
			reason := proxy.ReasonOf(t.err)
			return reason == proxy.TimedOut || reason == proxy.NetworkUnreachable || reason == proxy.HostUnreachable
		}
	})
	r.d.history.won(r.name, w.ip, lost)
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
