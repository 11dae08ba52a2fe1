package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"path/filepath"
	"sync"
	"time"

	"tributary/splice"
	"tributary/upkeep"
)

// Chosen by us.
const (
	// poolFloor is how many warm connections there are at rest: what a page opens
	// in its first instant.
	poolFloor = 8

	// poolCeiling is how many there are at most, whatever the demand was. The relay
	// counts them among those of the account.
	poolCeiling = 64

	// poolScant is how many there are when a metered link has next to nothing left.
	poolScant = 2

	// lookEvery is how often the pool looks for old connections and faded demand.
	lookEvery = 15 * time.Second

	// retryMin and retryMax bound the wait after a failure. At most 1 s, so that a
	// relay that is back is found within 2 s.
	retryMin = 250 * time.Millisecond
	retryMax = time.Second

	// retryRefused is the wait after a refusal, which time alone seldom heals.
	retryRefused = 10 * time.Second

	// After longOutage, and while nobody asks, the waits are these: tries cost bytes
	// too.
	longOutage    = 5 * time.Minute
	slowly        = 30 * time.Second
	slowlyRefused = 10 * time.Minute

	// recently is how long somebody who asked counts as waiting for the relay.
	recently = time.Minute
)

// upkeepFile is where, in the state directory, the books of upkeep are.
const upkeepFile = "gateway-upkeep.json"

// A pool keeps warm connections: TLS and login done, every subflow joined, so
// that a request costs one flight.
type pool struct {
	make func(context.Context) (*relayConn, error)
	log  *slog.Logger

	joined   func() // called at the first success, then nil
	subflows func(*relayConn) (have, want int)
	first    func(*relayConn) netip.Addr         // the local address that its first subflow has
	lags     func() map[netip.Addr]time.Duration // of first subflows, see Gateway.lags
	rest     func(*relayConn)                    // told of each that comes into the pool
	patient  func(ctx context.Context, by time.Time) (context.Context, context.CancelFunc)

	mu       sync.Mutex
	ledger   *ledger
	idle     []*warmConn // oldest first
	making   int
	refill   refill
	demand   demand
	asked    time.Time // when somebody last was
	recycled int64
	hits     int64
	misses   int64
	backoff  time.Duration // wait after the last failure; 0 when the last try was good
	retryAt  time.Time     // when that wait is over
	closed   bool          // the gateway ends
	err      error         // of the last try
	rtt      time.Duration // of the last good one
	since    time.Time     // when err became nil or not nil
	worn     time.Time     // when a subflow was last lost without a known cause
	died     time.Time     // when a warm connection last died
	deaths   pace          // of making others in their place
	scouts   pace          // of tries whether all links can be had
	renewals pace          // of replacing all that lack one
	wake     chan struct{}
}

// newPool makes the gateway's pool.
func (g *Gateway) newPool() *pool {
	p := newPool(g.upstream.warm, g.config.Log)
	p.joined, p.subflows, p.patient = g.config.Joined, g.subflows, g.upstream.patient
	p.first, p.lags = firstAddr, g.lags
	p.ledger.cost, p.rest = g.flows.cost, g.flows.rest
	if g.config.Links != nil {
		p.ledger.links = g.config.Links.Links
	}
	if g.config.StateDir == "" {
		return p
	}
	var err error
	if p.ledger.books, err = upkeep.Open(filepath.Join(g.config.StateDir, upkeepFile)); err != nil {
		g.config.Log.Warn("upkeep begins anew", "err", err)
	}
	return p
}

func newPool(make_ func(context.Context) (*relayConn, error), log *slog.Logger) *pool {
	return &pool{
		make: make_, log: log, ledger: newLedger(log), refill: newRefill(), wake: make(chan struct{}, 1), since: time.Now(),
		subflows: func(*relayConn) (have, want int) { return 1, 1 },
		first:    func(*relayConn) (a netip.Addr) { return a },
		lags:     func() map[netip.Addr]time.Duration { return nil },
		rest:     func(*relayConn) {},
		patient:  context.WithDeadline,
	}
}

// take returns a warm connection that was alive a moment ago, or nil.
func (p *pool) take() *relayConn {
	defer p.poke()
	p.mu.Lock()
	p.demand.add(time.Now())
	p.asked = time.Now()
	p.hurry()
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
			if w.used {
				p.recycled++
			}
			p.mu.Unlock()
			w.probeEvery(keepAlive)
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
	timer := time.NewTimer(lookEvery)
	defer timer.Stop()
	p.look()
	looked := time.Now()
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
		timer.Reset(p.idleUntil(looked.Add(lookEvery)))
		select {
		case <-ctx.Done():
			return nil
		case <-p.wake:
		case now := <-timer.C:
			if now.Sub(looked) >= lookEvery {
				p.look()
				looked = now
			}
		case err := <-results:
			var refused *refusedError
			if first && errors.As(err, &refused) {
				return err
			}
			first = false
			p.note(err)
		}
	}
}

// idleUntil returns how long there is nothing to do but by somebody's wish, when
// the next look is due at a time.
func (p *pool) idleUntil(look time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := time.Now(); p.retryAt.After(now) && p.retryAt.Before(look) {
		return p.retryAt.Sub(now)
	}
	return time.Until(look)
}

// wanted returns how many connections to start making now, and counts them as
// being made.
func (p *pool) wanted() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	parallel := p.refill.parallel
	if p.err != nil || p.rtt == 0 {
		parallel = 1 // one scout until the way is known to be open
	}
	if time.Now().Before(p.retryAt) {
		return 0
	}
	p.renew()
	fresh := 0
	for _, w := range p.idle {
		if !w.renew {
			fresh++
		}
	}
	n := max(0, min(p.target()-fresh-p.making, parallel-p.making))
	p.making += n
	return n
}

// target is how many warm connections there should be: those that the busiest
// second of the recent past would have used, and a quarter more; and what the
// metered links can bear. The first one is made in any case: it shows whether the
// relay is there and the join link is right.
func (p *pool) target() int {
	floor, ceiling := poolFloor, poolCeiling
	switch p.ledger.level {
	case upkeep.Saving:
		ceiling = poolFloor
	case upkeep.Scant:
		floor, ceiling = poolScant, poolScant
	case upkeep.Spent:
		floor, ceiling = 0, 0
	}
	if p.rtt == 0 {
		ceiling = max(1, ceiling)
		floor = max(1, floor)
	}
	most := p.demand.most(time.Now())
	return min(max(floor, most+most/4), ceiling)
}

// add makes one connection and puts it into the pool.
func (p *pool) add(ctx context.Context) error {
	began := time.Now()
	makeCtx, cancel := p.patient(ctx, began.Add(connectTime))
	defer cancel()
	c, err := p.make(makeCtx)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.making--
	if err != nil {
		if ctx.Err() == nil {
			var refused *refusedError
			p.ledger.failed(errors.As(err, &refused))
		}
		return err
	}
	if ctx.Err() != nil {
		splice.Abort(c)
		return ctx.Err()
	}
	p.rtt = c.setup
	p.refill.note(began, time.Now())
	p.keep(newWarmConn(c, false))
	return nil
}

// note takes the result of a try. After a failure there is a wait.
func (p *pool) note(err error) {
	if err == nil && p.joined != nil {
		p.joined()
		p.joined = nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil {
		if p.err != nil {
			p.log.Info("relay is up again", "down_for", time.Since(p.since))
			p.since = time.Now()
		}
		p.err, p.backoff, p.retryAt = nil, 0, time.Time{}
		return
	}
	if p.err == nil {
		p.since = time.Now()
	}
	if p.err == nil || p.err.Error() != err.Error() {
		p.log.Warn("relay cannot be reached", "err", err)
	}
	p.err = err
	now := time.Now()
	slow := now.Sub(p.since) > longOutage && now.Sub(p.asked) > recently
	var refused *refusedError
	switch isRefused := errors.As(err, &refused); {
	case isRefused && slow:
		p.backoff = slowlyRefused
	case isRefused:
		p.backoff = retryRefused
	case slow:
		p.backoff = slowly
	default:
		p.backoff = min(max(retryMin, 2*p.backoff), retryMax)
	}
	p.retryAt = now.Add(p.backoff)
}

// hurry shortens a wait that began while nobody asked.
func (p *pool) hurry() {
	switch {
	case p.err == nil:
		p.retryAt = time.Time{}
	case p.backoff > retryRefused:
		p.backoff = retryRefused
		p.retryAt = time.Now().Add(retryMin)
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
	p.retryAt = time.Time{}
	p.mu.Unlock()
	p.poke()
}
