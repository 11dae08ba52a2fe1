package health

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"tributary/proto/probe"
)

// Chosen by us.
const (
	// refreshPace is how often Links is asked, when nobody says Hurry.
	refreshPace = time.Second

	// forgetTime is how long a link is remembered that has gone.
	forgetTime = 10 * time.Minute

	// stallTime is by how much a timer may be late, and napTime how far the wall clock
	// may run ahead of the monotonic one, until we think that it was this host that
	// did not listen.
	stallTime = 100 * time.Millisecond
	napTime   = 2 * time.Second

	// together is how much too early a probe may leave, so that one waking serves
	// several links.
	together = 5 * time.Millisecond

	// writeTime is for how long a send may wait for room in the socket.
	writeTime = 5 * time.Millisecond
)

// A prober is one link's socket, record and standing.
type prober struct {
	name    string
	metered bool
	present bool          // Links named it last time
	seen    time.Duration // when Links named it last

	local netip.Addr
	relay netip.AddrPort // not valid if none has a family of the link's
	ports ports
	conn  net.Conn // nil until it is needed, and after an error

	record   record
	observed observed // of the record, at the last pass
	asked    int      // for how many probes missed in a row the traffic was asked about
	was      standing
	last     time.Duration // when it was probed last, negative is never
	busy     time.Duration // when its traffic flowed last, negative is never
	hurry    time.Duration // until when it is probed fast
	purse    purse
	knock    knock

	sent, echoes, bytes uint64
}

// An arrival is what a reader got out of a socket.
type arrival struct {
	prober *prober
	conn   net.Conn
	at     time.Time
	b      [probe.Size + 1]byte
	n      int
	err    error
}

// A loop is what Run does, and what of a Monitor only Run touches.
type loop struct {
	*Monitor
	ctx       context.Context
	refreshed time.Duration // when Links was last asked
	due       time.Duration // when the next pass was to be, 0 before the first
	drift     time.Duration // wall clock less monotonic clock, at the last pass
}

// pass does what is to be done now, and returns how long nothing is. first has
// arrived already.
func (l *loop) pass(first []arrival) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	if l.slept(now) {
		for _, p := range l.order {
			p.record.void()
		}
	}
	for _, a := range first {
		l.arrive(a)
	}
	for len(l.arrivals) > 0 {
		l.arrive(<-l.arrivals)
	}
	if l.refresh || now-l.refreshed >= refreshPace {
		l.refresh, l.refreshed = false, now
		l.follow(now)
	}
	for _, p := range l.order {
		p.record.expire(now)
	}
	l.ask(now)
	l.knock(now)
	l.decide(now)

	l.due = l.refreshed + refreshPace
	for _, p := range l.order {
		if l.next(p, now) <= now+together {
			l.send(p, now)
		}
		l.due = min(l.due, l.next(p, now))
		if at, ok := p.record.nextLimit(); ok {
			l.due = min(l.due, at)
		}
	}
	return max(l.due-l.now(), 0)
}

// slept reports whether this host was not there when it should have been: what did
// not arrive meanwhile says nothing of the links.
func (l *loop) slept(now time.Duration) bool {
	drift := l.wall().Sub(l.start.Round(0)) - now
	nap := drift-l.drift >= napTime
	l.drift = drift
	return l.due > 0 && (now-l.due > stallTime || nap)
}

// follow takes over what Links and Relay say.
func (l *loop) follow(now time.Duration) {
	l.mu.Unlock()
	links, relays := l.config.Links(), l.config.Relay()
	l.mu.Lock()
	l.order = l.order[:0]
	for _, p := range l.probers {
		p.present = false
	}
	for _, link := range links {
		p := l.probers[link.Name]
		if p == nil {
			p = &prober{name: link.Name, last: -1, busy: -time.Hour, purse: purse{at: now}}
			l.probers[link.Name] = p
		}
		if p.present {
			continue
		}
		p.present, p.seen, p.metered = true, now, link.Metered
		local, all := pair(link.Addrs, relays)
		if p.ports.all = all; local != p.local || !p.ports.have(p.relay) {
			p.move(local, p.ports.first(), now)
		}
		l.order = append(l.order, p)
	}
	for name, p := range l.probers {
		if !p.present {
			p.close()
			p.record.void()
			if now-p.seen >= forgetTime {
				delete(l.probers, name)
			}
		}
	}
}

// move begins anew with other addresses: they may be those of another network. Only
// how often the link died is kept.
func (p *prober) move(local netip.Addr, relay netip.AddrPort, now time.Duration) {
	p.close()
	p.local, p.relay, p.last = local, relay, -1
	p.record = record{base: newBase()}
	p.knock = knock{running: p.knock.running}
	p.was = standing{since: now, falls: p.was.falls, fell: p.was.fell, rose: p.was.rose, why: "no probe was answered yet"}
	if !relay.IsValid() {
		p.was.why = "the relay has no address that this link can reach"
	}
}

func (p *prober) close() {
	if p.conn != nil {
		p.conn.Close()
		p.conn = nil
	}
}

func (l *loop) closeAll() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range l.probers {
		p.close()
	}
}

// ask learns what the traffic says of links that would be dead else; and, once for each
// probe that is missed, of those that would be in doubt. Probes are late, or find the
// queue full, where the traffic takes all there is.
func (l *loop) ask(now time.Duration) {
	for _, p := range l.order {
		p.observed = p.record.observe(now, p.was.amnesty)
		asked := p.asked
		p.asked = p.observed.run
		if p.was.State != Dead && p.observed.run < deadRun && p.observed.run <= asked {
			continue
		}
		l.mu.Unlock()
		at := l.config.LastHeard(p.name)
		l.mu.Lock()
		if !at.IsZero() {
			p.record.hear(min(at.Sub(l.start), now))
			p.observed = p.record.observe(now, p.was.amnesty)
			p.asked = p.observed.run
		}
	}
}

// decide has all links judged, and tells what is new.
func (l *loop) decide(now time.Duration) {
	links := make([]observed, len(l.order))
	for i, p := range l.order {
		links[i] = p.observed
		links[i].was = p.was
	}
	for i, s := range judge(links, now) {
		p := l.order[i]
		old := p.was
		p.was = s
		if s.State == old.State && s.Reason == old.Reason || !p.relay.IsValid() {
			continue
		}
		l.tell(p, old)
	}
	// Two in a row are seldom chance: who else hears the relay?
	for i := range links {
		if links[i].run == deadRun-1 && l.order[i].was.State != Dead {
			for _, p := range l.order {
				if now-p.record.alive > vouchTime {
					p.hurry = max(p.hurry, now+vouchTime)
				}
			}
		}
	}
}

// tell passes a decision on.
func (l *loop) tell(p *prober, old standing) {
	v := l.verdict(p.was)
	l.config.Decided(Decision{At: time.Now(), Link: p.name, From: old.State, To: v.State, Reason: v.Reason, Why: v.Why})
	// A doubt passes, and is no news; a link that is lost or back is.
	if (v.State == Dead) != (old.State == Dead) || (v.Reason == RelaySilent) != (old.Reason == RelaySilent) {
		l.config.Log.Info("link", "link", p.name, "health", v.State.String(), "reason", v.Reason.String(), "why", v.Why)
	} else {
		l.config.Log.Debug("link", "link", p.name, "health", v.State.String(), "reason", v.Reason.String(), "why", v.Why)
	}
	select {
	case l.changed <- struct{}{}:
	default:
	}
}

// next returns when a link is to be probed next.
func (l *loop) next(p *prober, now time.Duration) time.Duration {
	if !p.relay.IsValid() {
		return now + time.Hour
	}
	if p.last < 0 {
		return now
	}
	o := &p.observed
	n := need{
		was: p.was, rtt: o.rtt, sent: p.record.count, run: o.run, row: o.row,
		busy: p.busy, hurry: p.hurry, metered: p.metered, purse: p.purse.has(now),
	}
	for _, other := range l.order {
		n.othersBusy = n.othersBusy || other != p && now-other.busy < recentTime
	}
	return p.last + pace(n, now)
}

// send sends one probe. A socket that makes trouble is opened anew next time: its
// address or route may have changed.
func (l *loop) send(p *prober, now time.Duration) {
	p.last = now
	p.turn()
	r := probe.Request{Sequence: p.record.send(now), Time: uint64(now)}
	err := l.open(p)
	if err == nil {
		b := l.key.AppendRequest(make([]byte, 0, probe.Size), r)
		p.conn.SetWriteDeadline(time.Now().Add(writeTime))
		if _, err = p.conn.Write(b); errors.Is(err, syscall.ECONNREFUSED) { // said of the probe before
			p.record.refuse(now)
			_, err = p.conn.Write(b)
		}
	}
	switch {
	case err == nil:
		p.sent++
		p.cost()
	case errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, syscall.ENOBUFS):
		p.record.unsent(true)
	default:
		p.record.unsent(false)
		p.close()
	}
}

// cost enters a datagram into the books.
func (p *prober) cost() {
	n := probe.Size + 8 + 20
	if p.local.Is6() {
		n += 20
	}
	p.bytes += uint64(n)
	p.purse.spend(n)
}

// open opens the socket, if there is none, and has it read.
func (l *loop) open(p *prober) error {
	if p.conn != nil {
		return nil
	}
	c, err := l.config.Dial(p.local, p.relay)
	if err != nil {
		return err
	}
	p.conn = c
	l.readers.Go(func() { l.read(p, c) })
	return nil
}

// read passes on what arrives until the socket is closed or of no more use.
func (l *loop) read(p *prober, c net.Conn) {
	for {
		a := arrival{prober: p, conn: c}
		a.n, a.err = c.Read(a.b[:])
		a.at = time.Now()
		if errors.Is(a.err, net.ErrClosed) {
			return
		}
		select {
		case l.arrivals <- a:
		case <-l.ctx.Done():
			return
		}
		if a.err != nil && !errors.Is(a.err, syscall.ECONNREFUSED) {
			return
		}
	}
}

// arrive takes what a reader got. What is no echo of ours is nobody's business.
func (l *loop) arrive(a arrival) {
	p, at := a.prober, a.at.Sub(l.start)
	switch {
	case a.conn != p.conn: // closed since
		return
	case errors.Is(a.err, syscall.ECONNREFUSED):
		p.record.refuse(at)
		return
	case a.err != nil:
		p.close()
		return
	}
	e, err := l.key.ReadEcho(a.b[:a.n])
	if err != nil || !p.record.echo(e.Sequence, time.Duration(e.Time), at) {
		return
	}
	p.echoes++
	p.cost()
	if e.Instance != l.instance && l.instance != 0 {
		l.config.Log.Debug("the relay was started anew", "link", p.name)
	}
	l.instance = e.Instance
}
