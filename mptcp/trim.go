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

	// trimRoom is how much may wait beyond what all paths hold, as a factor. A path that
	// loses manyLost of its packets or more needs lossyRoom: what it lost, others wait for
	// until it was sent again, and it may get lost again. Fewer losses are those of a queue
	// that is full, for which there is to be no more. It is a mean over some lossLooks
	// looks, of which none adds more than mostLost: a transfer that grows loses very
	// much for a moment.
	trimRoom  = 1.5
	lossyRoom = 3.5
	manyLost  = 0.02
	mostLost  = 0.04
	lossLooks = 25

	// trimLeast is the least buffer, in bytes of payload.
	trimLeast = 128 << 10

	// pauseWindow is the window of BBR in packets (bbr_cwnd_min_target) while it looks for
	// the least round trip, for 200 ms: then it needs at once what it had.
	pauseWindow = 4
	pauseLooks  = 5

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
	set         int       // the buffer, 0 while it is the kernel's
	lost        map[uint32]losses

	pauses int // looks in a row of which nothing was made

	received uint64 // at the last look
}

// Losses are what a subflow has lost, by its ID.
type losses struct {
	sent, again uint64  // segments until the last look
	part        float64 // of those of late that were sent again
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

// trim looks at a connection that sends much.
func (k *trimmed) trim(c *net.TCPConn, i Connection, now time.Time) {
	if !k.much(i) || k.sent < trimFrom {
		return
	}
	k.next = now
	full, err := FullInfo(c)
	if err != nil || full.Fallback {
		return
	}
	want := sendBuffer(withoutStarts(full.Subflows), k.room(full.Subflows))
	if k.pauses++; want < k.set && pausing(full.Subflows) && k.pauses <= pauseLooks {
		return
	}
	k.pauses = 0
	if want != k.set && setSendBuffer(c, want) == nil {
		k.set = want
	}
}

// pausing reports whether the only subflow that sends looks for its least round trip.
// Beside others it is not waited for: the slowest of them would queue what is too much.
func pausing(subflows []Subflow) bool {
	busy := slices.DeleteFunc(slices.Clone(subflows), func(s Subflow) bool { return !works(s) })
	return len(busy) == 1 && busy[0].CWnd <= pauseWindow
}

// room returns how much may wait beyond what all paths hold, by what they lose, and
// whether one is being left.
func (k *trimmed) room(subflows []Subflow) float64 {
	room := trimRoom
	was := k.lost
	k.lost = make(map[uint32]losses, len(subflows))
	for _, s := range subflows {
		l := was[s.ID]
		if sent := uint64(s.SegmentsSent) - l.sent; sent > 0 {
			now := float64(uint64(s.Retransmits)-l.again) / float64(sent)
			l.part += (min(now, mostLost) - l.part) / lossLooks
		}
		l.sent, l.again = uint64(s.SegmentsSent), uint64(s.Retransmits)
		k.lost[s.ID] = l
		if works(s) && l.part >= manyLost {
			room = lossyRoom
		}
	}
	if room == trimRoom && oneLeaves(subflows) {
		room = leaveRoom
	}
	return room
}

// works reports whether a subflow sends, and is answered.
func works(s Subflow) bool {
	return s.State == Established && s.Timeouts == 0 && s.Unacked > 0 && s.RTT > 0
}

// sendBuffer returns the buffer, as the kernel counts, that keeps all subflows busy.
// What one of them has delivered waits for what was sent before over the one with the
// longest round trip, so it is the sum of the rates times that. Those that rest, or are
// silent, do not count.
func sendBuffer(subflows []Subflow, room float64) int {
	var longest time.Duration
	for _, s := range subflows {
		if works(s) {
			longest = max(longest, s.RTT)
		}
	}
	var held float64
	for _, s := range subflows {
		if works(s) {
			held += float64(s.CWnd) * float64(s.MSS) * float64(longest) / float64(s.RTT)
		}
	}
	return int(max(room*held, trimLeast) * trimCost)
}
