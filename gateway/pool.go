package gateway

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"time"

	"tributary/mptcp"
	"tributary/splice"
)

// Chosen by us.
const (
	// poolFloor is how many warm connections there are at rest: what a page opens
	// in its first instant.
	poolFloor = 8

	// poolCeiling is how many there are at most, whatever the demand was. The relay
	// counts them among those of the account.
	poolCeiling = 64

	// poolParallel is how many connections are made at once.
	poolParallel = 16

	// lookEvery is how often the pool looks for old connections and faded demand.
	lookEvery = 15 * time.Second

	// warmAge is when a warm connection is replaced, at the latest: before the relay's
	// patience ends (15 minutes there). Each goes up to warmSpread earlier, so that
	// those made together do not leave together.
	warmAge    = 10 * time.Minute
	warmSpread = 4 * time.Minute

	// retryMin and retryMax bound the wait after a failure. At most 1 s, so that a
	// relay that is back is found within 2 s.
	retryMin = 250 * time.Millisecond
	retryMax = time.Second

	// retryRefused is the wait after a refusal, which time alone seldom heals.
	retryRefused = 10 * time.Second
)

// A pool keeps warm connections: TLS and login done, every subflow joined, so
// that a request costs one flight.
type pool struct {
	make func(context.Context) (*relayConn, error)
	log  *slog.Logger

	joined   func()                            // called at the first success, then nil
	subflows func(*relayConn) (have, want int) // nil where nobody knows

	mu      sync.Mutex
	idle    []*warmConn // oldest first
	making  int
	demand  demand
	hits    int64
	misses  int64
	backoff time.Duration // wait after the last failure; 0 when the last try was good
	paused  bool          // that wait is not over
	closed  bool          // the gateway ends
	err     error         // of the last try
	rtt     time.Duration // of the last good one
	since   time.Time     // when err became nil or not nil
	wake    chan struct{}
}

// A warmConn is a connection in the pool, with somebody who sees it die.
type warmConn struct {
	*relayConn
	until   time.Time  // when it is too old
	lacking bool       // a usable link has no subflow in it; it goes when others are there
	used    bool       // it has carried a request, so its windows are grown
	watched chan error // receives what ended the watch
}

// newPool makes the gateway's pool.
func (g *Gateway) newPool() *pool {
	p := newPool(g.upstream.warm, g.config.Log)
	p.joined, p.subflows = g.config.Joined, g.subflows
	return p
}

func newPool(make_ func(context.Context) (*relayConn, error), log *slog.Logger) *pool {
	return &pool{make: make_, log: log, wake: make(chan struct{}, 1), since: time.Now()}
}

// take returns a warm connection that was alive a moment ago, or nil.
func (p *pool) take() *relayConn {
	defer p.poke()
	p.mu.Lock()
	p.demand.add(time.Now())
	p.mu.Unlock()
	for {
		p.mu.Lock()
		if len(p.idle) == 0 {
			p.misses++
			p.mu.Unlock()
			return nil
		}
		w := p.best()
		p.mu.Unlock()
		if w.release() {
			p.mu.Lock()
			p.hits++
			p.mu.Unlock()
			return w.relayConn
		}
	}
}

// run keeps the pool filled until ctx ends. It returns early with the error of
// the very first try if that was a refusal: then the join link is wrong, and the
// person who just typed it is still looking.
func (p *pool) run(ctx context.Context) error {
	var makers sync.WaitGroup
	defer makers.Wait()
	defer p.drain()
	results := make(chan error)
	timer := time.NewTimer(0)
	defer timer.Stop()
	first := true
	for {
		for range p.wanted() {
			makers.Go(func() {
				err := p.add(ctx)
				select {
				case results <- err:
				case <-ctx.Done():
				}
			})
		}
		select {
		case <-ctx.Done():
			return nil
		case <-p.wake:
		case <-timer.C:
			p.expire()
			timer.Reset(lookEvery)
		case err := <-results:
			var refused *refusedError
			if first && errors.As(err, &refused) {
				return err
			}
			first = false
			if wait := p.note(err); wait > 0 {
				timer.Reset(wait)
			}
		}
	}
}

// wanted returns how many connections to start making now, and counts them as
// being made.
func (p *pool) wanted() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	parallel := poolParallel
	if p.err != nil || p.rtt == 0 {
		parallel = 1 // one scout until the way is known to be open
	}
	if p.paused {
		return 0
	}
	fresh := 0
	for _, w := range p.idle {
		if !w.lacking {
			fresh++
		}
	}
	n := max(0, min(p.target()-fresh-p.making, parallel-p.making))
	p.making += n
	return n
}

// target is how many warm connections there should be: those that the busiest
// second of the recent past would have used, and a quarter more.
func (p *pool) target() int {
	most := p.demand.most(time.Now())
	return min(max(poolFloor, most+most/4), poolCeiling)
}

// best takes out a connection that has all its subflows, or else the oldest. There
// must be one. Of several, it is the one that a request has left last, for its
// congestion windows are grown and shrink again by half with each retransmission
// time that it rests; or else the oldest, which has the least time left.
func (p *pool) best() *warmConn {
	i := -1
	for j, w := range p.idle {
		if !w.lacking && (i < 0 || w.used) {
			i = j
		}
	}
	i = max(0, i)
	w := p.idle[i]
	p.idle = slices.Delete(p.idle, i, i+1)
	return w
}

// add makes one connection and puts it into the pool.
func (p *pool) add(ctx context.Context) error {
	makeCtx, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	c, err := p.make(makeCtx)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.making--
	if err != nil {
		return err
	}
	if ctx.Err() != nil {
		splice.Abort(c)
		return ctx.Err()
	}
	p.rtt = c.setup
	p.keep(&warmConn{relayConn: c, until: c.born.Add(warmAge - rand.N(warmSpread))})
	return nil
}

// put takes an authenticated connection back on which a request has ended cleanly
// and nothing is to be read any more. It returns false for one that the pool has no
// use for: then the caller closes it. It neither reads nor writes.
func (p *pool) put(c *relayConn) bool {
	until := c.born.Add(warmAge - rand.N(warmSpread))
	if c.tls == nil || c.pending || !time.Now().Before(until) {
		return false
	}
	if c.socket != nil && !mptcp.Quiet(c.socket) {
		return false
	}
	if p.subflows != nil {
		if have, want := p.subflows(c); have < want {
			return false
		}
	}
	if c.SetDeadline(time.Time{}) != nil {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if target := p.target(); p.closed || len(p.idle) >= target+target/4 {
		return false
	}
	p.keep(&warmConn{relayConn: c, until: until, used: true})
	return true
}

// keep puts a connection into the pool and watches it. The caller holds the lock.
func (p *pool) keep(w *warmConn) {
	w.watched = make(chan error, 1)
	p.idle = append(p.idle, w)
	go p.watch(w)
}

// watch waits for a warm connection to die, and takes it out.
func (p *pool) watch(w *warmConn) {
	err := w.tls.Wait()
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		p.mu.Lock()
		for i, other := range p.idle {
			if other == w {
				p.idle = append(p.idle[:i:i], p.idle[i+1:]...)
				splice.Abort(w)
				break
			}
		}
		p.mu.Unlock()
		p.log.Debug("warm connection ended", "err", err)
		p.poke()
	}
	w.watched <- err
}

// release ends the watch; it reports whether the connection was alive until now.
func (w *warmConn) release() bool {
	w.SetReadDeadline(time.Unix(1, 0))
	if err := <-w.watched; !errors.Is(err, os.ErrDeadlineExceeded) {
		splice.Abort(w)
		return false
	}
	return w.SetReadDeadline(time.Time{}) == nil
}

// note takes the result of a try and returns how long to wait before the next;
// 0 is not at all.
func (p *pool) note(err error) time.Duration {
	if err == nil && p.joined != nil {
		p.joined()
		p.joined = nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	var refused *refusedError
	switch {
	case err == nil:
		if p.err != nil {
			p.log.Info("relay is up again", "down_for", time.Since(p.since))
			p.since = time.Now()
		}
		p.err, p.backoff, p.paused = nil, 0, false
		return 0
	case errors.As(err, &refused):
		p.backoff = retryRefused
	default:
		p.backoff = min(max(retryMin, 2*p.backoff), retryMax)
	}
	if p.err == nil {
		p.since = time.Now()
	}
	if p.err == nil || p.err.Error() != err.Error() {
		p.log.Warn("relay cannot be reached", "err", err)
	}
	p.err, p.paused = err, true
	return p.backoff
}

// expire drops connections that are old, that lack a link and are not needed any
// more, or that faded demand has left over, and ends a wait after failures.
func (p *pool) expire() {
	p.mu.Lock()
	p.paused = false
	var old []*warmConn
	spare := len(p.idle) - p.target()
	for _, out := range []func(*warmConn) bool{
		func(w *warmConn) bool { return !time.Now().Before(w.until) },
		func(w *warmConn) bool { return spare > 0 && w.lacking },
		func(*warmConn) bool { return spare > 0 },
	} {
		p.idle = slices.DeleteFunc(p.idle, func(w *warmConn) bool {
			if !out(w) {
				return false
			}
			old = append(old, w)
			spare--
			return true
		})
	}
	p.mu.Unlock()
	for _, w := range old {
		if w.release() {
			w.Close()
		}
	}
}

// check looks through the pool after a link has changed: a connection without any
// subflow is dropped, and one that lacks a link is replaced, but not before the
// others are there.
func (p *pool) check(subflows func(*relayConn) (have, want int)) {
	p.mu.Lock()
	var dead []*warmConn
	p.idle = slices.DeleteFunc(p.idle, func(w *warmConn) bool {
		have, want := subflows(w.relayConn)
		w.lacking = have < want
		if have == 0 {
			dead = append(dead, w)
		}
		return have == 0
	})
	p.paused = false
	p.mu.Unlock()
	for _, w := range dead {
		w.release()
		splice.Abort(w)
	}
	p.poke()
}

// drain closes all, when the gateway ends.
func (p *pool) drain() {
	p.mu.Lock()
	idle := p.idle
	p.idle, p.closed = nil, true
	p.mu.Unlock()
	for _, w := range idle {
		if w.release() {
			w.Close()
		}
	}
}

func (p *pool) poke() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// roundTrip returns that of the last good connection.
func (p *pool) roundTrip() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.rtt
}

// wayIsOpen ends a wait: somebody else has just reached the relay.
func (p *pool) wayIsOpen() {
	p.mu.Lock()
	p.paused = false
	p.mu.Unlock()
	p.poke()
}

// suspect drops all warm connections, after one has swallowed a request: the next
// requests should not find that out one by one.
func (p *pool) suspect() {
	p.check(func(*relayConn) (have, want int) { return 0, 1 })
}
