package health

import (
	"context"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"tributary/proto/probe"
)

var (
	secret = [16]byte{1, 2, 3}
	relay  = netip.MustParseAddrPort("192.0.2.1:8443")
)

// A span is how a line is from some time on.
type span struct {
	from    time.Duration
	rtt     time.Duration
	spread  time.Duration // round trips are longer by up to this
	loss    float64
	gone    bool   // nothing gets through
	deaf    bool   // no probe gets through
	refused bool   // the relay's host refuses probes
	only    uint16 // probes get through to this port alone; 0 is any
	down    bool   // nothing can be sent
}

// A line is an access line's history, and its traffic.
type line struct {
	name    string
	metered bool
	spans   []span
	busy    [][2]time.Duration // when traffic flows, over a line that is not gone
	rate    uint64             // bytes a second of that, 1 MB/s if 0
}

func (l *line) at(now time.Duration) span {
	s := l.spans[0]
	for _, next := range l.spans {
		if next.from <= now {
			s = next
		}
	}
	return s
}

func (l *line) flows(now time.Duration) bool {
	return slices.ContainsFunc(l.busy, func(b [2]time.Duration) bool { return b[0] <= now && now < b[1] })
}

// A world is a monitor in virtual time, with lines in memory.
type world struct {
	*Monitor
	t        *testing.T
	lines    []*line
	relayOut [][2]time.Duration // when the relay is away
	instance uint64
	random   *rand.Rand
	wire     sync.Mutex
	sent     map[string]int
	told     sync.Mutex
	made     []Decision // in told
	asked    int        // what the kernel would say, in wire
	knocks   map[string]int
	also     []netip.AddrPort // further ports of the relay
	stall    time.Duration
}

// history runs f with a monitor of these lines, in virtual time.
func history(t *testing.T, w *world, f func(*world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w.t, w.random, w.sent, w.instance = t, rand.New(rand.NewPCG(1, 2)), map[string]int{}, 7
		w.knocks = map[string]int{}
		w.Monitor = New(Config{
			Secret: secret, Dial: w.dial, Links: w.links,
			Relay:     func() []netip.AddrPort { return append([]netip.AddrPort{relay}, w.also...) },
			LastHeard: w.lastHeard, Decided: w.decided, Knock: w.knock,
			Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		})
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { w.Run(ctx) })
		running.Go(func() { w.traffic(ctx) })
		f(w)
		cancel()
		running.Wait()
		if t.Failed() {
			for _, d := range w.decisions() {
				t.Logf("%v %s %s→%s %s: %s", d.At.Sub(w.start), d.Link, d.From, d.To, d.Reason, d.Why)
			}
		}
	})
}

func (w *world) links() (out []Link) {
	w.wire.Lock()
	stall := w.stall
	w.stall = 0
	w.wire.Unlock()
	time.Sleep(stall)
	w.wire.Lock()
	defer w.wire.Unlock()
	for i, l := range w.lines {
		out = append(out, Link{Name: l.name, Metered: l.metered, Addrs: []netip.Addr{netip.AddrFrom4([4]byte{10, 0, 0, byte(i)})}})
	}
	return out
}

// lastHeard is what the kernel would say of the traffic: bytes come all the time.
func (w *world) lastHeard(name string) (at time.Time) {
	w.wire.Lock()
	defer w.wire.Unlock()
	w.asked++
	for _, l := range w.lines {
		if l.name != name {
			continue
		}
		now := w.now()
		for t := now; t > 0 && t > now-time.Second && len(l.busy) > 0; t -= 2 * time.Millisecond {
			// What arrives at t was sent half a round trip before.
			s := l.at(t - l.at(t).rtt/2)
			if l.flows(t) && !w.away(t-s.rtt/2) && !s.gone && !l.at(t).gone && !s.down {
				return w.start.Add(t)
			}
		}
	}
	return at
}

// knock is a handshake by TCP: what loses probes alone lets it pass.
func (w *world) knock(ctx context.Context, local netip.Addr, _ netip.AddrPort) bool {
	w.wire.Lock()
	l, now := w.lines[local.As4()[3]], w.now()
	s := l.at(now)
	w.knocks[l.name]++
	open := !s.gone && !s.down && !l.at(now+s.rtt).gone && !w.away(now+s.rtt/2)
	w.wire.Unlock()
	if !open {
		<-ctx.Done()
		return false
	}
	pause(ctx, s.rtt)
	return ctx.Err() == nil
}

// away reports whether the relay is.
func (w *world) away(at time.Duration) bool {
	return slices.ContainsFunc(w.relayOut, func(out [2]time.Duration) bool { return out[0] <= at && at < out[1] })
}

func (w *world) traffic(ctx context.Context) {
	for ctx.Err() == nil {
		w.wire.Lock()
		lines := w.lines
		w.wire.Unlock()
		for _, l := range lines {
			if rate := l.rate; l.flows(w.now()) {
				if rate == 0 {
					rate = 1_000_000
				}
				w.Busy(l.name, rate/2)
			}
		}
		pause(ctx, 500*time.Millisecond)
	}
}

func (w *world) decided(d Decision) {
	w.told.Lock()
	defer w.told.Unlock()
	w.made = append(w.made, d)
}

func (w *world) decisions() []Decision {
	w.told.Lock()
	defer w.told.Unlock()
	return slices.Clone(w.made)
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// change has f change the world.
func (w *world) change(f func()) {
	w.wire.Lock()
	defer w.wire.Unlock()
	f()
}

// until sleeps until a moment of the history.
func (w *world) until(at time.Duration) {
	time.Sleep(at - w.now())
	synctest.Wait()
}

// became returns the changes of a link to a state after some time.
func (w *world) became(name string, to State, after time.Duration) (at []time.Duration) {
	for _, d := range w.decisions() {
		if t := d.At.Sub(w.start); d.Link == name && d.To == to && d.From != to && t >= after {
			at = append(at, t-after)
		}
	}
	return at
}

// one fails unless a link came to a state just once after some time, within so long.
func (w *world) one(name string, to State, after, least, most time.Duration) {
	w.t.Helper()
	if at := w.became(name, to, after); len(at) != 1 || at[0] < least || at[0] > most {
		w.t.Errorf("%s %s %v after %v, want once after %v to %v", name, to, at, after, least, most)
	}
}

// never fails if a link ever came to a state.
func (w *world) never(name string, to State) {
	w.t.Helper()
	if at := w.became(name, to, 0); len(at) > 0 {
		w.t.Errorf("%s was %s at %v", name, to, at)
	}
}

func (w *world) is(name string, state State, reason Reason) {
	w.t.Helper()
	if v := w.Verdict(name); v.State != state || v.Reason != reason {
		w.t.Errorf("at %v %s is %s, %s (%s), want %s, %s", w.now(), name, v.State, v.Reason, v.Why, state, reason)
	}
}

func (w *world) dial(local netip.Addr, to netip.AddrPort) (net.Conn, error) {
	w.wire.Lock()
	defer w.wire.Unlock()
	l := w.lines[local.As4()[3]]
	return &wireConn{world: w, line: l, port: to.Port(), in: make(chan []byte, 1000), closed: make(chan struct{})}, nil
}

// A wireConn is a socket on a line. The relay is at its other end.
type wireConn struct {
	net.Conn
	world  *world
	line   *line
	port   uint16
	in     chan []byte
	closed chan struct{}
	once   sync.Once
}

func (c *wireConn) Write(b []byte) (int, error) {
	w := c.world
	w.wire.Lock()
	defer w.wire.Unlock()
	now := w.now()
	s := c.line.at(now)
	if s.down {
		return 0, syscall.ENETUNREACH
	}
	w.sent[c.line.name]++
	rtt := s.rtt
	if s.spread > 0 {
		rtt += time.Duration(w.random.Int64N(int64(s.spread)))
	}
	there, back := now+rtt/2, now+rtt
	if w.away(there) || s.gone || s.deaf || s.only != 0 && s.only != c.port || w.random.Float64() < s.loss || c.line.at(there).gone || c.line.at(back).gone {
		return len(b), nil
	}
	k := probe.NewKey(secret)
	r, err := k.ReadRequest(b)
	if err != nil {
		w.t.Error(err)
	}
	echo := k.AppendEcho(nil, probe.Echo{Request: r, Instance: w.instance})
	if s.refused {
		echo = nil
	}
	time.AfterFunc(rtt, func() {
		select {
		case c.in <- echo:
		case <-c.closed:
		}
	})
	return len(b), nil
}

func (c *wireConn) Read(b []byte) (int, error) {
	select {
	case in := <-c.in:
		if in == nil {
			return 0, syscall.ECONNREFUSED
		}
		return copy(b, in), nil
	case <-c.closed:
		return 0, net.ErrClosed
	}
}

func (c *wireConn) SetWriteDeadline(time.Time) error { return nil }

func (c *wireConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return nil
}
