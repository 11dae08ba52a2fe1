package health

import (
	"context"
	"time"
)

// When a link is asked by TCP. Chosen by us: an answer takes some 400 bytes.
const (
	// knockPace is the least time between two knocks of which the first was answered,
	// and knockAgain between two of which it was not.
	knockPace  = time.Second
	knockAgain = time.Minute

	// knockSlack is what an answer may take beyond a round trip at least, and knockMost
	// in all: for so long a link at rest is not dead.
	knockSlack = 150 * time.Millisecond
	knockMost  = 900 * time.Millisecond

	knockCost = 400

	// mutedProbes is how many probes in a row have to be missed while the traffic was heard
	// until knocks speak for a link that carries something, too: traffic pauses by itself,
	// for 0.2 s while BBR looks for the least round trip.
	mutedProbes = 4
)

// A knock is what is known of asking a link by TCP. A link at rest has no traffic that
// could speak for it when a network loses its probes and nothing else.
type knock struct {
	running  bool
	tried    bool          // at least once since the link was silent
	failed   bool          // the last one
	at       time.Duration // when that began
	answered time.Duration // when one was answered last, 0 is never
}

// due reports whether to knock at a link now: it was heard, and is not any more. While
// it carries something one miss is often chance, and two in a row are seldom.
func (k *knock) due(o *observed, atRest bool, now time.Duration) bool {
	least := deadRun - 1
	if atRest {
		least = 1
	}
	if o.run < least && o.was.State != Dead {
		k.tried = k.tried && now-k.at < knockPace
		return false
	}
	pace := knockPace
	if k.failed {
		pace = knockAgain
	}
	return !k.running && o.answer > 0 && (!k.tried || now-k.at >= pace)
}

// speaks reports whether a link at rest, or one that loses probes alone, is not to be thought silent yet: the answer to a
// knock is waited for, or has just come, and that of no probe since.
func (k *knock) speaks(o *observed, now time.Duration) bool {
	return k.running || k.answered > o.answer && now-k.answered < 2*knockPace
}

// atRest reports whether nothing but knocks has used a link of late. If something has,
// it misses a link that is dead, and speaks for one that is not.
func (p *prober) atRest(now time.Duration) bool {
	o := &p.observed
	return now-p.busy >= busyTime && (now-o.heard >= busyTime || o.heard == p.knock.answered)
}

// knock asks the links by TCP where that may matter.
func (l *loop) knock(now time.Duration) {
	if l.config.Knock == nil {
		return
	}
	for _, p := range l.order {
		p.observed.was = p.was
		k, o := &p.knock, &p.observed
		atRest := p.atRest(now)
		if k.due(o, atRest, now) && (!p.metered || p.purse.has(now) > 0) {
			k.running, k.tried, k.at = true, true, now
			p.purse.spend(knockCost)
			p.bytes += knockCost
			l.ring(p)
		}
		o.speaks = (atRest || o.ignored >= mutedProbes) && k.speaks(o, now)
	}
}

// ring knocks at one link, of which the next pass learns.
func (l *loop) ring(p *prober) {
	local, relay := p.local, p.relay
	limit := min(p.record.rtt+max(4*p.record.jitter, knockSlack), knockMost)
	l.readers.Go(func() {
		ctx, cancel := context.WithTimeout(l.ctx, limit)
		defer cancel()
		ok := l.config.Knock(ctx, local, relay)
		l.mu.Lock()
		defer l.mu.Unlock()
		p.knock.running, p.knock.failed = false, !ok
		if ok && p.local == local && p.relay == relay {
			now := l.now()
			p.knock.answered = now
			p.record.hear(now)
		}
		l.poke()
	})
}
