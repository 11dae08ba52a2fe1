package gateway

import (
	"math"
	"net/netip"
	"slices"
	"time"

	"tributary/mptcp"
)

// restedTime is how long a connection must have heard nothing before a request on it, so
// that its silence may be that of something on the way which has forgotten it.
const restedTime = 10 * time.Second

// hasOthers reports whether there is known to be more than one link to send over.
func (u *upstream) hasOthers() bool {
	all := append(slices.Clone(u.sources(false)), u.sources(true)...)
	return slices.ContainsFunc(all, func(s source) bool { return s.link != all[0].link })
}

// hedge begins a race when the relay's kernel has not acknowledged the request in
// time. Where there is one link, a second request would wait in the same queue; so only
// for a connection that may be dead, while the link is not.
func (t *tunnel) hedge(conn *relayConn) {
	if !t.unheard(conn) {
		return
	}
	u := t.dialer.upstream
	for _, link := range conn.waiting() {
		u.doubts.cast(link, hedgeTime)
		if u.suspect != nil {
			u.suspect(link)
		}
	}
	if u.hasOthers() || t.rested(conn) >= restedTime {
		t.race()
	}
}

// roomLook is how often it is asked whether the relay's kernel has acknowledged a request
// behind which the client's bytes wait.
const roomLook = 5 * time.Millisecond

// room returns how many of n bytes of the client may be sent now. While the relay's kernel
// has acknowledged nothing of the request, it waits with more than can be kept: a request
// that nobody has heard can move then. It costs nothing otherwise, for few paths hold as
// much, and what is queued in the kernel lasts longer than a look.
func (t *tunnel) room(n int) int {
	for {
		t.mu.Lock()
		free := retainMost - t.given
		full := n > free && !t.overflow && !t.settled
		t.mu.Unlock()
		switch {
		case !full || t.closed.Load() || !t.unheard(t.conn.Load()):
			return n
		case free > 0:
			return free
		}
		select {
		case <-t.ctx.Done():
			return n
		case <-time.After(roomLook):
		}
	}
}

// blame makes the links doubtful on which a request got lost.
func (t *tunnel) blame(conn *relayConn) {
	if !t.unheard(conn) {
		return
	}
	for _, link := range conn.waiting() {
		t.dialer.upstream.doubts.avoid(link, doubtTime)
	}
	t.suspect(conn)
}

// giveUpSilence ends a connection that swallowed the request, so that another is
// tried. At first it leaves alone one that carries bytes of the client: they may
// be on their way still, and the kernel moves them to another link by itself; beside
// it there is a race by then. In the end it gives up those too.
func (t *tunnel) giveUpSilence(conn *relayConn, inTheEnd bool) {
	t.mu.Lock()
	bare := t.given == 0
	t.mu.Unlock()
	switch {
	case !t.unheard(conn):
	case bare || inTheEnd:
		t.wake(conn)
		t.suspect(conn)
	default:
		t.race()
	}
}

// suspect drops warm connections after one that had rested has swallowed a request: the
// next requests should not find out one by one that they are dead too. If it had not
// rested, it is not its rest that has killed it, and new ones would fare no better.
func (t *tunnel) suspect(conn *relayConn) {
	if rested := t.rested(conn); rested >= restedTime {
		t.dialer.pool.suspect(conn)
	}
}

// rested returns how long a connection had heard nothing when the request was written.
func (t *tunnel) rested(conn *relayConn) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return conn.quietFor() - time.Since(t.wrote)
}

// suspect spares those that have a subflow over a link on which the request of the one
// that swallowed it does not wait, and those that have heard the relay since that one.
func (p *pool) suspect(by *relayConn) {
	waits, quiet := by.waiting(), by.quietFor()
	p.sweep(func(w *warmConn) bool { return !w.reachesBeside(waits) && w.quietFor() >= quiet })
}

// subflows returns the established subflows of a connection, as far as they are known.
func (c *relayConn) subflows() []mptcp.Subflow {
	if c.socket == nil {
		return nil
	}
	full, err := mptcp.FullInfo(c.socket)
	if err != nil {
		return nil
	}
	return slices.DeleteFunc(full.Subflows, func(s mptcp.Subflow) bool { return s.State != mptcp.Established })
}

// waiting returns the links on which bytes of a connection wait for an acknowledgement.
func (c *relayConn) waiting() (links []netip.Addr) {
	for _, s := range c.subflows() {
		if s.Unacked > 0 {
			links = append(links, s.Local.Addr())
		}
	}
	return links
}

// quietFor returns for how long nothing has come on a connection; for ever, where that
// is not known.
func (c *relayConn) quietFor() time.Duration {
	quiet := time.Duration(math.MaxInt64)
	for _, s := range c.subflows() {
		quiet = min(quiet, s.LastDataRecv, s.LastAckRecv)
	}
	return quiet
}

// reachesBeside reports whether a connection has a subflow over another link than these.
func (c *relayConn) reachesBeside(links []netip.Addr) bool {
	return len(links) > 0 && slices.ContainsFunc(c.subflows(), func(s mptcp.Subflow) bool {
		return !slices.Contains(links, s.Local.Addr())
	})
}
