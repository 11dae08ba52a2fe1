package gateway

import (
	"maps"
	"net"
	"net/netip"
	"slices"
	"time"

	"tributary/mptcp"
	"tributary/passage"
)

// sampleBatch is how many connections the kernel is asked about at a time: some tenths
// of a millisecond, for which requests may have to wait.
const sampleBatch = 32

// each calls visit with the connections of now, under the lock, which others get
// between batches of them. Those that end meanwhile are left out, and those that begin.
func (f *flows) each(visit func(*net.TCPConn, *followed)) {
	sockets := f.sockets(func(*followed) bool { return true })
	for batch := range slices.Chunk(sockets, sampleBatch) {
		f.mu.Lock()
		for _, c := range batch {
			if known := f.conns[c]; known != nil {
				visit(c, known)
			}
		}
		f.mu.Unlock()
	}
}

// sockets returns the connections of now that are wanted. To ask the kernel about one
// that has ended meanwhile is an error, and does no harm.
func (f *flows) sockets(wanted func(*followed) bool) []*net.TCPConn {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := make([]*net.TCPConn, 0, len(f.conns))
	for c, known := range f.conns {
		if wanted(known) {
			all = append(all, c)
		}
	}
	return all
}

// sample asks the kernel about a connection. Subflows that are gone go to the
// past with what they had.
func (f *flows) sample(c *net.TCPConn) {
	full, err := mptcp.FullInfo(c)
	if err != nil {
		return
	}
	known := f.conns[c]
	now := make(map[subflowKey]mptcp.Subflow, len(full.Subflows))
	var came, unacked uint64
	for _, s := range full.Subflows {
		if s.Local.Addr().IsUnspecified() {
			continue // closed: the kernel has forgotten its addresses
		}
		key := subflowKey{s.Local, s.Remote}
		now[key] = s
		if known.live[key].State != mptcp.Established {
			f.isNew(known, s, full.Fallback)
		}
		if ails(known.live[key], s) {
			f.ailing[s.Local.Addr()] = true
		}
		f.senses.sense(known.live[key], s)
		came, unacked = came+s.BytesReceived, unacked+uint64(s.Unacked)*uint64(s.MSS)
		delete(known.live, key)
		f.hear(s)
	}
	for _, s := range known.live {
		f.settle(s)
		known.gone[s.Local.Addr()] += cost(s) + farewell
		known.lost += s.BytesReceived
	}
	known.live, known.plain, known.reach = now, full.Fallback, reachOf(full, f.lives)
	f.senses.whole(known, full.Connection, known.lost+came, unacked)
}

// settle adds a subflow that will not change any more.
func (f *flows) settle(s mptcp.Subflow) {
	t := f.past[s.Local.Addr()]
	t.add(s)
	f.past[s.Local.Addr()] = t
}

// hear notes what a subflow says of its link.
func (f *flows) hear(s mptcp.Subflow) {
	if s.State != mptcp.Established {
		return
	}
	t := f.past[s.Local.Addr()]
	now := time.Now()
	t.rtt, t.heard = s.RTT, now
	f.past[s.Local.Addr()] = t
	if heard := now.Add(-min(s.LastDataRecv, s.LastAckRecv)); heard.After(f.heardAt) {
		f.heardAt = heard
	}
}

// isNew tells what a subflow that was not there before says of MPTCP on its link.
func (f *flows) isNew(known *followed, s mptcp.Subflow, fallback bool) {
	if s.State != mptcp.Established || f.tell == nil {
		return
	}
	e := passage.Joined
	switch {
	case fallback:
		e = passage.Fell
	case s.ID == 1:
		e = passage.Began
	}
	f.tell(s.Local.Addr(), s.Remote.Port(), e)
	if e == passage.Joined && f.joined != nil {
		f.joined(s.Local.Addr(), known.born)
	}
}

// compare finds the least round trip over each local address. The smoothed ones
// would do no good: after a download they say how long the queue was.
func (f *flows) compare() {
	now := make(map[netip.Addr]time.Duration)
	for _, known := range f.conns {
		for _, s := range known.live {
			a := s.Local.Addr()
			if least, ok := now[a]; s.State == mptcp.Established && s.MinRTT > 0 && (!ok || s.MinRTT < least) {
				now[a] = s.MinRTT
			}
		}
	}
	maps.Copy(f.least, now)
}
