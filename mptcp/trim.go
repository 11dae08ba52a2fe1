package mptcp

import (
	"context"
	"net"
	"slices"
	"sync"
	"time"
)

// What the send buffers of connections are trimmed by. Chosen by us.
const (
	// trimEvery is how often a connection that sends much is looked at, idleEvery how
	// often others are.
	trimEvery = 100 * time.Millisecond
	idleEvery = time.Second

	// muchSent is what a connection has to have sent between two looks to be looked at
	// often, and trimFrom what it has to have sent in all: until then the kernel's own
	// way, which lets a young connection grow, is the better one.
	muchSent = 64 << 10
	trimFrom = 1 << 20

	// trimRoom is how much may wait beyond what all paths hold, as a factor.
	trimRoom = 1.5

	// trimLeast is the least buffer, in bytes of payload, and trimMost the largest: half
	// of what the kernel may take by itself (link's tcp_wmem).
	trimLeast = 128 << 10
	trimMost  = 8 << 20

	// pauseWindow is the window of BBR in packets (bbr_cwnd_min_target) while it looks for
	// the least round trip, for 200 ms after what was under way has arrived: then it needs
	// at once what it had. A path that never has more is waited for pauseLooks, once.
	pauseWindow = 4
	pauseLooks  = 5

	// heardLately is within what time, or its round trip if that is longer, a path with
	// something under way is answered if it is alive.
	heardLately = 100 * time.Millisecond

	// trimCost is what a byte of payload takes of a buffer, as the kernel counts.
	trimCost = 1.1
)

// A Trimmer keeps what waits to be sent on Multipath TCP connections short.
//
// The kernel lets each subflow queue three times its congestion window (BBR) or twice
// (others) of the time when that was largest, and heeds no TCP_NOTSENT_LOWAT below the
// MPTCP level. So two links of 30 and 20 Mbit/s hold half a second each (Linux 6.18).
// When a link dies, what was on it is sent again behind that queue of the other
// link, which was most of the gap. A Trimmer measures what the paths hold and sets
// SO_SNDBUF to a little more: docs/decisions/0008-short-queues.md. Besides, it helps
// connections whose receive buffer is clogged. The zero Trimmer is ready for use.
type Trimmer struct {
	mu    sync.Mutex
	conns map[*net.TCPConn]*trimmed
}

// A trimmed is what a Trimmer knows of a connection; it is changed by look alone.
type trimmed struct {
	sent, acked uint64    // at the last look
	next        time.Time // the next one
	busy        time.Time // the last one that saw much
	set         int       // the buffer, 0 while it is the kernel's
	pauses      int       // looks in a row that saw a path pause
	received    uint64    // at the last look
}

// Add has a connection trimmed until Remove, by what it sends from now on.
func (t *Trimmer) Add(c *net.TCPConn) {
	i, _ := Info(c) // of plain TCP nothing is asked for
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.conns == nil {
		t.conns = make(map[*net.TCPConn]*trimmed)
	}
	t.conns[c] = &trimmed{sent: i.BytesSent, acked: i.BytesAcked, next: time.Now().Add(idleEvery)}
}

// Following returns how many connections there are between Add and Remove, each of
// which costs the kernel a question a second.
func (t *Trimmer) Following() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.conns)
}

// Remove forgets a connection.
func (t *Trimmer) Remove(c *net.TCPConn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.conns, c)
}

// Run trims until ctx ends, where this process may give connections as large a buffer as
// the kernel would, and unclogs. Where there is no MPTCP it returns at once.
func (t *Trimmer) Run(ctx context.Context) {
	if Supported() != nil {
		return
	}
	trims := canTrim()
	tick := time.NewTicker(trimEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			t.look(now, trims)
		}
	}
}

// look asks about the connections that are due. Of thousands that takes milliseconds,
// for which Add and Remove are not to wait.
func (t *Trimmer) look(now time.Time, trims bool) {
	due := make(map[*net.TCPConn]*trimmed)
	t.mu.Lock()
	for c, k := range t.conns {
		if !now.Before(k.next) {
			due[c] = k
		}
	}
	t.mu.Unlock()
	for c, k := range due {
		i, err := Info(c)
		if k.next = now.Add(idleEvery); err != nil {
			continue // plain TCP, or closed meanwhile
		}
		if k.stands(i) {
			unclog(c)
		}
		if trims {
			k.trim(c, i, now)
		}
	}
}

// trim looks at a connection that sends much, or has just done so.
func (k *trimmed) trim(c *net.TCPConn, i Connection, now time.Time) {
	if k.much(i) {
		k.busy = now
	}
	if k.sent < trimFrom || now.Sub(k.busy) >= idleEvery {
		return
	}
	k.next = now
	full, err := FullInfo(c)
	if err != nil || full.Fallback {
		return
	}
	want := sendBuffer(full.Subflows, early(full))
	if k.keeps(full.Subflows) && want < k.set {
		return
	}
	if want != k.set && setSendBuffer(c, want) == nil {
		k.set = want
	}
}

// much reports whether much was sent since the last look, or acknowledged: while a
// buffer that was made shorter runs dry, nothing is given to subflows.
func (k *trimmed) much(i Connection) bool {
	sent, acked := i.BytesSent-k.sent, i.BytesAcked-k.acked
	k.sent, k.acked = i.BytesSent, i.BytesAcked
	return max(sent, acked) >= muchSent
}

// keeps reports whether a buffer is not to be made shorter now, for a path looks for its
// least round trip. Where several do at once, one that was cut meanwhile would take BBR
// a second to fill again.
func (k *trimmed) keeps(subflows []Subflow) bool {
	if !slices.ContainsFunc(subflows, func(s Subflow) bool { return works(s) && s.CWnd <= pauseWindow }) {
		k.pauses = 0
		return false
	}
	k.pauses++
	return k.pauses <= pauseLooks
}

// works reports whether a subflow sends, and is answered.
func works(s Subflow) bool {
	return s.State == Established && s.Timeouts == 0 && s.Unacked > 0 && s.RTT > 0
}

// rests reports whether a subflow has come to rest, and could send.
func rests(s Subflow) bool {
	return s.State == Established && s.Timeouts == 0 && s.Unacked == 0 && s.RTT > 0 && s.LastDataSent < leaveTo
}

// early returns how many bytes have arrived before others that are on their way, and
// wait for those at the receiver. It is 0 while a path that owes an answer is silent: if
// it is dead, all that was sent meanwhile over the others would be in the way.
func early(f Full) float64 {
	var under float64
	for _, s := range f.Subflows {
		if s.State != Established {
			continue
		}
		if s.Timeouts > 0 || s.Unacked > 0 && s.LastAckRecv > max(heardLately, s.RTT) {
			return 0
		}
		under += float64(s.Unacked)*float64(s.MSS) + float64(s.NotSent)
	}
	return max(0, float64(f.BytesSent-f.BytesAcked)-under)
}

// sendBuffer returns the buffer, as the kernel counts, that keeps all subflows busy.
// What one of them has delivered waits for what was sent before over the one with the
// longest round trip, so it is the sum of the rates times that. Those that rest, or are
// silent, do not count.
//
// What came early needs room besides, and so do those that rest meanwhile: else the
// paths that delivered it would wait until the others are done, and a buffer for those
// alone would have them wait on.
func sendBuffer(subflows []Subflow, early float64) int {
	held := holds(subflows, works)
	want := trimRoom * held
	switch {
	case held+early > want:
		want = holds(subflows, func(s Subflow) bool { return works(s) || rests(s) }) + early
	case oneLeaves(subflows):
		want = leaveRoom * held
	}
	return int(min(max(want, trimLeast), trimMost) * trimCost)
}

// holds returns how much some subflows hold together for the longest round trip.
func holds(subflows []Subflow, counts func(Subflow) bool) (held float64) {
	var longest time.Duration
	for _, s := range subflows {
		if counts(s) {
			longest = max(longest, s.RTT)
		}
	}
	for _, s := range subflows {
		if counts(s) {
			held += float64(s.CWnd) * float64(s.MSS) * float64(longest) / float64(s.RTT)
		}
	}
	return held
}
