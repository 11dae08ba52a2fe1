package gateway

import (
	"context"
	"maps"
	"net"
	"net/netip"
	"sync"
	"time"

	"tributary/mptcp"
	"tributary/mptcp/stale"
	"tributary/passage"
)

// sampleEvery is how often the kernel is asked about living connections. Each is
// asked once more when it closes, so only what a subflow carried in its last
// interval before the kernel removed it is missed.
const sampleEvery = time.Second

// flows adds up, per local address, what the connections to the relay carried.
// The counts are the kernel's, of payload with TLS in it.
type flows struct {
	mu    sync.Mutex
	conns map[*net.TCPConn]*followed
	past  map[netip.Addr]traffic
	least map[netip.Addr]time.Duration // round trips without queues, by local address
	marks [2]volumes                   // for rates, the older one first

	heardAt time.Time // when anything last came by a subflow

	marked func(time.Time) // is told when marks are made; may be nil
	senses senses
	ailing map[netip.Addr]bool   // links whose subflows ail, of which doubt was not told yet
	doubt  func(link netip.Addr) // is told of them; may be nil

	lives    func(netip.Addr) bool // whether an address is, or may be again, a link's; nil is not known
	forsaken func(n int)           // is told of connections that were ended without a subflow; may be nil

	tell    func(local netip.Addr, port uint16, e passage.Evidence) // of each new subflow; may be nil
	joined  func(local netip.Addr, since time.Time)                 // of each that joined a connection of some time; may be nil
	trimmer mptcp.Trimmer
	stale   stale.Ender
}

// A followed connection is one that is open.
type followed struct {
	born time.Time
	live map[subflowKey]mptcp.Subflow // last known
	gone map[netip.Addr]uint64        // what subflows that ended cost
	base map[subflowKey]volume        // what its session did not carry

	whole       mptcp.Connection // last known
	lost        uint64           // bytes received by subflows that ended
	got         uint64           // bytes received in their order, at the last look
	came, twice uint64           // bytes received by all subflows, and those of them that came before; then
	moved       time.Time        // when one of these was last seen to change

	pulse   pulse
	skipped int // samples, because it was at rest

	plain   bool                 // it is TCP, at the last look
	without map[string]time.Time // by link: since when it lacks it, or a later time after a renewal
	reach   reach                // at the last look
	strand  strand
}

// A subflowKey names a subflow of a connection for good; the kernel's number does
// not, since it is counted anew after fallback.
type subflowKey struct{ local, remote netip.AddrPort }

// traffic is what went over one local address.
type traffic struct {
	up, down, retrans uint64
	upRate, downRate  float64       // bytes per second, of late
	rtt               time.Duration // of the subflow heard last
	heard             time.Time
}

func newFlows() *flows {
	return &flows{conns: make(map[*net.TCPConn]*followed), past: make(map[netip.Addr]traffic), least: make(map[netip.Addr]time.Duration), ailing: make(map[netip.Addr]bool)}
}

// track follows a connection until it closes.
func (f *flows) track(c *relayConn) {
	if c.socket == nil {
		return
	}
	socket := c.socket
	c.onClose(func() { f.finish(socket) })
	f.mu.Lock()
	defer f.mu.Unlock()
	f.trimmer.Add(socket)
	f.stale.Add(socket)
	f.conns[socket] = &followed{born: c.born, live: map[subflowKey]mptcp.Subflow{}, gone: map[netip.Addr]uint64{}}
}

// run samples until ctx ends, where nobody else does.
func (f *flows) run(ctx context.Context) {
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			f.look()
		}
	}
}

// look samples every connection, and tells of the links that ail.
func (f *flows) look() {
	f.each(func(c *net.TCPConn, known *followed) {
		if !known.atRest(c) {
			f.senses.looking = true
			f.sample(c)
			f.senses.looking = false
		}
	})
	f.mu.Lock()
	f.compare()
	now := time.Now()
	due := now.Sub(f.marks[1].at) >= sampleEvery*9/10 // looks may be much closer
	if due {
		f.mark(now)
	}
	lost := f.strandings(now)
	ailing := f.ailing
	f.ailing = make(map[netip.Addr]bool)
	f.mu.Unlock()
	f.forsake(lost)
	if due && f.marked != nil {
		f.marked(now)
	}
	for link := range ailing {
		if f.doubt != nil {
			f.doubt(link)
		}
	}
}

// finish takes a connection's last word and adds it to the past.
func (f *flows) finish(c *net.TCPConn) {
	f.trimmer.Remove(c)
	f.stale.Remove(c)
	f.mu.Lock()
	defer f.mu.Unlock()
	known := f.conns[c]
	if known == nil {
		return
	}
	f.sample(c)
	for _, s := range known.live {
		f.settle(s)
	}
	delete(f.conns, c)
}

// byAddress returns the totals, living connections included.
func (f *flows) byAddress() map[netip.Addr]traffic {
	f.each(func(c *net.TCPConn, _ *followed) { f.sample(c) })
	f.mu.Lock()
	defer f.mu.Unlock()
	all := maps.Clone(f.past) // with the subflows that the samples found gone
	for _, known := range f.conns {
		for _, s := range known.live {
			t := all[s.Local.Addr()]
			t.add(s)
			all[s.Local.Addr()] = t
		}
	}
	f.rate(all, time.Now())
	return all
}

func (t *traffic) add(s mptcp.Subflow) {
	t.up += s.BytesAcked
	t.down += s.BytesReceived
	t.retrans += s.BytesRetrans
}

// rtts returns the round trip without queues over each local address, as soon as a
// subflow over it was seen.
func (f *flows) rtts() map[netip.Addr]time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := maps.Clone(f.least)
	for a, t := range f.past {
		if all[a] == 0 {
			all[a] = t.rtt
		}
	}
	return all
}

// established counts the subflows that can carry data.
func established(full mptcp.Full) (n int) {
	for _, s := range full.Subflows {
		if s.State == mptcp.Established {
			n++
		}
	}
	return n
}
