package gateway

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	"tributary/mptcp"
)

const (
	// doubtTime is how long a link stays doubtful after a request over it got lost
	// while another link carried one.
	doubtTime = 10 * time.Second

	// hedgeTime is how long it is doubtful because a request over it was not
	// acknowledged when it should have been, which a short queue can bring about.
	hedgeTime = time.Second

	// ackSlack is what an acknowledgement may take beyond the round trip: the
	// receiver may hold it back for 40 ms, and its host has other things to do. On an
	// idle connection it came after 0.4 ms (measured).
	ackSlack = 50 * time.Millisecond
)

// doubts knows the links that may be failing, by local address. While a link is
// doubtful, requests go out twice. If more speaks against it than that something was
// late, which a busy processor brings about too, connections also start over the
// others first: they would stay where they began.
// The zero address stands for the way that the routing table chooses.
type doubts struct {
	mu    sync.Mutex
	until map[netip.Addr]time.Time
	shun  map[netip.Addr]time.Time // of these, those with more against them
}

// cast makes a link doubtful for some time from now.
func (d *doubts) cast(link netip.Addr, lasts time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.until = prolong(d.until, link, lasts)
}

// avoid makes a link doubtful, and one over which no connection shall start.
func (d *doubts) avoid(link netip.Addr, lasts time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.until = prolong(d.until, link, lasts)
	d.shun = prolong(d.shun, link, lasts)
}

// prolong enters a link, unless it is there for longer already.
func prolong(until map[netip.Addr]time.Time, link netip.Addr, lasts time.Duration) map[netip.Addr]time.Time {
	if until == nil {
		until = make(map[netip.Addr]time.Time)
	}
	now := time.Now()
	for a, t := range until { // addresses come and go
		if !now.Before(t) {
			delete(until, a)
		}
	}
	if end := now.Add(lasts); end.After(until[link]) {
		until[link] = end
	}
	return until
}

// about reports whether a link is doubtful.
func (d *doubts) about(link netip.Addr) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return time.Now().Before(d.until[link])
}

// avoided reports whether connections are to start elsewhere.
func (d *doubts) avoided(link netip.Addr) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return time.Now().Before(d.shun[link])
}

// any reports whether one of the links is.
func (d *doubts) any(links []source) bool {
	return slices.ContainsFunc(links, func(s source) bool { return d.about(s.addr) })
}

// compare orders links: the doubtful ones come last.
func (d *doubts) compare(a, b source) int {
	switch x, y := d.about(a.addr), d.about(b.addr); {
	case x == y:
		return 0
	case x:
		return 1
	}
	return -1
}

// doubtful reports whether a request may get lost on its link.
func (u *upstream) doubtful() bool {
	return u.doubts.any(u.sources(false)) || u.doubts.any(u.sources(true))
}

// Signs of a link that fails, seen from the side that sends.
const (
	// ailingShare is how much of what was sent has to be sent again: more than a full
	// queue causes. It takes ailingBytes to tell that from chance.
	ailingShare = 0.05
	ailingBytes = 20_000

	// ailingWait is what a round trip may take beyond twice the least one: more than
	// the queues of most lines hold.
	ailingWait = 200 * time.Millisecond
)

// ails reports whether a subflow says that its link may be failing, by what has
// changed since before, which is zero at first.
func ails(before, now mptcp.Subflow) bool {
	sent, again := now.BytesSent-before.BytesSent, now.BytesRetrans-before.BytesRetrans
	switch {
	case now.State != mptcp.Established:
		return false
	case now.Timeouts > 0:
		return true
	case sent >= ailingBytes && float64(again) > ailingShare*float64(sent):
		return true
	}
	return now.Unacked > 0 && now.MinRTT > 0 && now.RTT > 2*now.MinRTT+ailingWait
}

// Doubt tells that the link of a local address may be failing. For a while,
// requests are sent over two links at once, and connections start over the others.
func (g *Gateway) Doubt(link netip.Addr) {
	g.upstream.doubts.avoid(link, doubtTime)
	if g.monitor != nil {
		g.monitor.Suspect(g.linkAt(link))
	}
}
