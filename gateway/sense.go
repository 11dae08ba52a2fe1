package gateway

import (
	"net/netip"
	"time"

	"tributary/bundle"
	"tributary/link"
	"tributary/mptcp"
)

// A tally is what subflows over a local address did since it was last taken.
type tally struct {
	up, down, sent, again uint64 // bytes: acknowledged, received, sent, sent again
	heard                 uint64 // segments
	wait, least           time.Duration
	waited                int // subflows in wait and least
	unsent                uint64
}

// restSpan is for how long nothing may come while something is waited for. Chosen by us.
const restSpan = 200 * time.Millisecond

// A senses gathers, from what is sampled anyway, what decides which part each link
// plays.
type senses struct {
	at       time.Time // of the last take
	by       map[netip.Addr]*tally
	up, down uint64 // bytes in their order, over all connections
	held     uint64 // that came and wait for earlier ones, as of now
	backlog  uint64 // that were written and are not acknowledged, as of now

	// looking is whether it is a look that asks: what is true of one moment only is
	// added up once in each, however often others ask between.
	looking bool
}

// sense notes how a subflow has changed; was is zero at first.
func (s *senses) sense(was, now mptcp.Subflow) {
	a := now.Local.Addr()
	t := s.by[a]
	if t == nil {
		if s.by == nil {
			s.by = make(map[netip.Addr]*tally)
		}
		t = &tally{}
		s.by[a] = t
	}
	t.up += now.BytesAcked - min(was.BytesAcked, now.BytesAcked)
	t.down += now.BytesReceived - min(was.BytesReceived, now.BytesReceived)
	t.again += now.BytesRetrans - min(was.BytesRetrans, now.BytesRetrans)
	t.heard += uint64(now.SegmentsHeard - min(was.SegmentsHeard, now.SegmentsHeard))
	if sent := now.BytesSent - min(was.BytesSent, now.BytesSent); sent > 0 {
		t.sent += sent
		t.wait, t.least, t.waited = t.wait+now.RTT, t.least+now.MinRTT, t.waited+1
	}
	if s.looking {
		t.unsent += uint64(now.NotSent)
	}
}

// whole notes how a connection as a whole has changed; was is zero at first, and came
// what its subflows have received so far.
func (s *senses) whole(known *followed, now mptcp.Connection, came, unacked uint64) {
	was := known.whole
	known.whole = now
	if now.BytesReceived < was.BytesReceived || now.BytesAcked < was.BytesAcked {
		return // it has become plain TCP
	}
	s.up += now.BytesAcked - was.BytesAcked
	s.down += now.BytesReceived - was.BytesReceived
	if !s.looking {
		return
	}
	// What was received twice counts twice in came, once in the connection, and so looks
	// held for ever.
	waits := came - min(came, now.BytesReceived)
	if now.BytesReceived != known.got || came != known.came {
		known.moved = time.Now()
	} else if time.Since(known.moved) >= restSpan {
		known.twice = waits // nothing moves: nothing is waited for
	}
	known.got, known.came, known.twice = now.BytesReceived, came, min(known.twice, waits)
	s.held += waits - known.twice
	if ahead := now.WriteSeq - now.SndUna; now.WriteSeq > now.SndUna && ahead > unacked {
		s.backlog += ahead - unacked
	}
}

// take returns what was noted since the last time, and begins anew.
func (s *senses) take(links []link.Link, now time.Time) (b bundle.Bundle, bytes map[string]uint64) {
	span := now.Sub(s.at)
	bytes = make(map[string]uint64, len(links))
	for _, l := range links {
		var sum tally
		for _, a := range l.Addrs {
			if t := s.by[a]; t != nil {
				sum.up, sum.down, sum.sent, sum.again = sum.up+t.up, sum.down+t.down, sum.sent+t.sent, sum.again+t.again
				sum.wait, sum.least, sum.waited = sum.wait+t.wait, sum.least+t.least, sum.waited+t.waited
				sum.unsent, sum.heard = sum.unsent+t.unsent, sum.heard+t.heard
			}
		}
		o := bundle.Observation{Link: l.Name, Sub: bundle.Subflows{
			Up: perSecond(sum.up, span), Down: perSecond(sum.down, span), Queued: sum.unsent, Heard: perSecond(sum.heard, span),
		}}
		if sum.waited > 0 {
			n := time.Duration(sum.waited)
			o.Sub.RTT, o.Sub.Min = sum.wait/n, sum.least/n
			o.Sub.Loss = 100 * float64(sum.again) / float64(sum.sent)
		}
		bytes[l.Name] = sum.up + sum.down
		b.Links = append(b.Links, o)
	}
	if !s.at.IsZero() {
		b.Span = span
	}
	b.GoodputUp, b.GoodputDown = perSecond(s.up, span), perSecond(s.down, span)
	b.Held, b.Backlog = s.held, s.backlog
	*s = senses{at: now, by: s.by}
	clear(s.by)
	return b, bytes
}

func perSecond(bytes uint64, span time.Duration) float64 {
	if span <= 0 {
		return 0
	}
	return float64(bytes) / span.Seconds()
}

// take returns what was measured of the links since the last time.
func (f *flows) take(links []link.Link, now time.Time) (bundle.Bundle, map[string]uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.senses.take(links, now)
}
