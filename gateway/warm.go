package gateway

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"time"

	"tributary/mptcp"
	"tributary/splice"
)

// Chosen by us.
const (
	// warmAge is when a warm connection is replaced, at the latest: before the relay's
	// patience ends (4 hours there). Each goes up to warmSpread earlier, so that
	// those made together do not leave together. On the link of the first subflow one
	// costs 5.5 kB to make and to end, on others 1.1 kB: eight of them, nine times a
	// day, some 0.4 MB.
	warmAge    = 3*time.Hour + 30*time.Minute
	warmSpread = 90 * time.Minute

	// renewMin and renewMax bound the wait between attempts to replace connections
	// that lack a link: it doubles, so that a link that comes and goes, or never lets
	// a subflow through, does not keep the pool busy.
	renewMin = 15 * time.Second
	renewMax = 15 * time.Minute

	// worthMoving is how much longer than over the best link a round trip over a
	// connection's first subflow has to take until the connection is replaced.
	worthMoving = 10 * time.Millisecond

	// manyDeaths is the wait from which on it is no longer the relay that is started
	// again, but something that ends connections which rest.
	manyDeaths = 2 * time.Minute

	// wornLooks is how many looks in a row have to miss a subflow until it counts as
	// lost: a link that goes takes them too, and tells a moment later.
	wornLooks = 2
)

// A warmConn is a connection in the pool, with somebody who sees it die.
type warmConn struct {
	*relayConn
	until    time.Time  // when it is too old
	first    netip.Addr // the local address of its first subflow
	subflows int        // that it has had since a link changed last
	missed   int        // looks in a row that found fewer
	lacking  bool       // a usable link has no subflow in it
	renew    bool       // it goes when another is there
	used     bool       // it has carried a request, so its windows are grown
	kept     time.Time  // since when it is in the pool
	watched  chan error // receives what ended the watch

	made, paid map[netip.Addr]uint64 // see ledger
}

func newWarmConn(c *relayConn, used bool) *warmConn {
	return &warmConn{relayConn: c, used: used, kept: time.Now(), until: c.born.Add(warmAge - rand.N(warmSpread)), watched: make(chan error, 1)}
}

// put takes an authenticated connection back on which a request has ended cleanly
// and nothing is to be read any more. It returns false for one that the pool has no
// use for: then the caller closes it. It neither reads nor writes.
func (p *pool) put(c *relayConn) bool {
	w := newWarmConn(c, true)
	if c.tls == nil || c.pending || !time.Now().Before(w.until) {
		return false
	}
	if c.socket != nil && !mptcp.Quiet(c.socket) {
		return false
	}
	if have, want := p.subflows(c); have < want {
		return false
	}
	if c.SetDeadline(time.Time{}) != nil {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if target := p.target(); p.closed || len(p.idle) >= target+target/4 {
		return false
	}
	p.keep(w)
	return true
}

// keep puts a connection into the pool and watches it. The caller holds the lock.
func (p *pool) keep(w *warmConn) {
	have, want := p.subflows(w.relayConn)
	w.subflows, w.lacking, w.first = have, have < want, p.first(w.relayConn)
	w.probeEvery(p.probe())
	p.ledger.open(w)
	p.rest(w.relayConn)
	p.idle = append(p.idle, w)
	go p.watch(w)
}

// watch waits for a warm connection to die, and takes it out.
func (p *pool) watch(w *warmConn) {
	err := w.tls.Wait()
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		p.mu.Lock()
		if i := slices.Index(p.idle, w); i >= 0 {
			p.idle = slices.Delete(p.idle, i, i+1)
			p.ledger.settle(w)
			splice.Abort(w)
			p.bereaved()
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

// best takes out a connection that has all its subflows and is not to be replaced, or
// else the oldest. There must be one. Of several, it is one whose first subflow is over the best link; of
// these, one with nothing on its way, for the kernel sends beside that by another
// link; of these, the one that a request has left last, for its congestion windows
// are grown; or else the oldest, which has the least time left.
func (p *pool) best() *warmConn {
	lags, now := p.lags(), time.Now()
	better := func(w, than *warmConn) bool {
		switch a, b := lags[w.first], lags[than.first]; {
		case a != b:
			return a < b
		case w.settled(now) != than.settled(now):
			return w.settled(now)
		}
		return w.used
	}
	i := -1
	for j, w := range p.idle {
		if !w.lacking && !w.renew && (i < 0 || better(w, p.idle[i])) {
			i = j
		}
	}
	i = max(0, i)
	w := p.idle[i]
	p.idle = slices.Delete(p.idle, i, i+1)
	return w
}

// settled reports whether all that a request has left on its way is acknowledged, as
// far as time tells.
func (w *warmConn) settled(now time.Time) bool {
	return !w.used || now.Sub(w.kept) >= w.setup+ackSlack
}

// look drops connections that are old, that another has replaced, or that faded
// demand has left over; it finds those that have lost a subflow, and keeps the
// books.
func (p *pool) look() {
	p.mu.Lock()
	for _, w := range p.idle {
		p.ledger.charge(w)
		p.wear(w)
	}
	p.ledger.look()
	var old []*warmConn
	spare := len(p.idle) - p.target()
	for _, out := range []func(*warmConn) bool{
		func(w *warmConn) bool { return !time.Now().Before(w.until) },
		func(w *warmConn) bool { return spare > 0 && w.renew },
		func(w *warmConn) bool { return spare > 0 && w.lacking },
		func(*warmConn) bool { return spare > 0 },
	} {
		p.idle = slices.DeleteFunc(p.idle, func(w *warmConn) bool {
			if !out(w) {
				return false
			}
			old = append(old, w)
			p.ledger.settle(w)
			spare--
			return true
		})
	}
	p.mu.Unlock()
	p.ledger.save(false)
	for _, w := range old {
		if w.release() {
			w.Close()
		}
	}
}

// firstAddr returns the local address of a connection's first subflow, by which the
// kernel sends what finds nothing on its way.
func firstAddr(c *relayConn) (a netip.Addr) {
	if all := c.subflows(); len(all) > 0 {
		a = all[0].Local.Addr()
	}
	return a
}

// wear notes when a connection has lost a subflow although no link has changed:
// somebody on the way has forgotten it. The path manager does not open it again.
func (p *pool) wear(w *warmConn) {
	have, want := p.subflows(w.relayConn)
	if have >= w.subflows {
		w.missed, w.lacking = 0, w.lacking && have < want // what was late may have come
		return
	}
	if w.missed++; w.missed < wornLooks {
		return
	}
	if have == 0 {
		w.until = time.Now() // what would join it again has had its time
	}
	if w.lacking {
		return
	}
	w.lacking = true
	p.probeMore()
}

// probeMore makes the probes frequent for a day.
func (p *pool) probeMore() {
	if p.probe() != keepAlive {
		p.log.Info("warm connections are forgotten on their way: probes come more often for a day")
	}
	p.worn = time.Now()
	for _, w := range p.idle {
		w.probeEvery(p.probe())
	}
}

// bereaved is called when a connection has died in the pool. New ones come at once;
// but while nobody asks and they die again and again, ever more seldom.
func (p *pool) bereaved() {
	now := time.Now()
	if now.Sub(p.died) < time.Second { // the same cause
		return
	}
	p.died = now
	if p.deaths.allows(now) {
		return
	}
	if p.deaths.wait >= manyDeaths {
		p.probeMore()
	}
	if now.Sub(p.asked) > recently {
		p.retryAt = p.deaths.next
	}
}

// renew chooses which connections that lack a link, or began over one that is not
// the best, are to be replaced. While none in the pool has all subflows it is just
// one, to try whether they can be had.
func (p *pool) renew() {
	now, lags := time.Now(), p.lags()
	var candidates []*warmConn
	whole := false
	for _, w := range p.idle {
		switch {
		case w.renew:
		case w.lacking:
			candidates = append(candidates, w)
		case lags[w.first] >= worthMoving && lags[w.first] < doubtLag:
			candidates, whole = append(candidates, w), true
		default:
			whole = true
		}
	}
	pace := &p.scouts
	if whole {
		pace = &p.renewals
	} else if len(candidates) > 0 {
		candidates = candidates[:1]
	}
	if len(candidates) == 0 || !pace.allows(now) {
		return
	}
	for _, w := range candidates {
		w.renew = true
	}
}

// A pace lets something happen, at first at once, then ever more seldom until there
// was a rest.
type pace struct {
	next time.Time
	wait time.Duration
}

func (p *pace) allows(now time.Time) bool {
	if now.Before(p.next) {
		return false
	}
	if now.Sub(p.next) > renewMax {
		p.wait = 0
	}
	p.wait = min(max(renewMin, 2*p.wait), renewMax)
	p.next = now.Add(p.wait)
	return true
}

// check looks through the pool after a link has changed: a connection without any
// subflow is dropped, and one that lacks a link is replaced, but not before the
// others are there.
func (p *pool) check(subflows func(*relayConn) (have, want int)) {
	p.sweep(func(w *warmConn) bool {
		have, want := subflows(w.relayConn)
		w.lacking = have < want
		return p.bare(w, have)
	})
}

// glance does the same right after a change: who lacks a link since then is not to be
// judged yet, and who lacked one before still does.
func (p *pool) glance(subflows func(*relayConn) (have, want int)) {
	p.sweep(func(w *warmConn) bool {
		have, _ := subflows(w.relayConn)
		return p.bare(w, have)
	})
}

// bare takes down how many subflows a connection has now, and reports whether it has none.
func (p *pool) bare(w *warmConn, have int) bool {
	w.subflows, w.missed, w.first = have, 0, p.first(w.relayConn)
	return have == 0
}

// sweep drops the connections that are dead, and has others made at once.
func (p *pool) sweep(isDead func(*warmConn) bool) {
	p.mu.Lock()
	var dead []*warmConn
	p.idle = slices.DeleteFunc(p.idle, func(w *warmConn) bool {
		out := isDead(w)
		if out {
			dead = append(dead, w)
			p.ledger.settle(w)
		}
		return out
	})
	p.retryAt = time.Time{}
	p.refill = newRefill()
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
	for _, w := range idle {
		p.ledger.settle(w)
	}
	p.mu.Unlock()
	p.ledger.save(true)
	for _, w := range idle {
		if w.release() {
			w.Close()
		}
	}
}
