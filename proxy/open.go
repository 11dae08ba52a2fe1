package proxy

import (
	"net/netip"
	"time"
)

// An Open is a session that is being carried, as it is at one moment.
type Open struct {
	ID      int64          // counts the sessions from 1, in the order in which they came
	From    netip.AddrPort // who asks
	To      Addr           // where to
	User    string         // the account, or ""
	Inbound string         // the protocol it came by
	Start   time.Time
	Setup   time.Duration // until the streams were joined; 0 while they are not

	// Server is the stream towards the final server, nil until there is one. It is for
	// looking at: who reads, writes or closes it spoils the session.
	Server Conn

	// Bytes of payload since the start, and those per second of late. They count when
	// they have left, and not when they have arrived.
	Up, Down         int64
	UpRate, DownRate float64
}

// A mark is what a session had carried at some moment.
type mark struct{ up, down int64 }

// Mark notes what the sessions have carried until now, for the rates that All tells.
// Whoever wants rates calls it every second or so: they are those of the time since
// the last mark but one.
func (s *Sessions) Mark(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.marked[0], s.marked[1] = s.marked[1], now
	for ses := range s.open {
		ses.marks[0] = ses.marks[1]
		ses.marks[1].up, ses.marks[1].down = ses.counts()
	}
}

// All returns the sessions that are open, in no order.
func (s *Sessions) All(now time.Time) []Open {
	s.mu.Lock()
	defer s.mu.Unlock()
	span := now.Sub(s.marked[0]).Seconds()
	all := make([]Open, 0, len(s.open))
	for ses := range s.open {
		o := Open{
			ID: ses.id, From: ses.req.From, To: ses.req.To, User: ses.req.User, Inbound: ses.req.Inbound, Start: ses.start,
		}
		o.Up, o.Down = ses.counts()
		if ses.joined.Load() {
			o.Server, o.Setup = ses.pair.Server, ses.setup
		}
		if !s.marked[0].IsZero() && span > 0 {
			o.UpRate = float64(o.Up-ses.marks[0].up) / span
			o.DownRate = float64(o.Down-ses.marks[0].down) / span
		}
		all = append(all, o)
	}
	return all
}

// counts returns the bytes carried so far.
func (ses *session) counts() (up, down int64) {
	if !ses.joined.Load() {
		return 0, 0
	}
	up, down = ses.pair.Counts()
	return up + ses.early, down
}
