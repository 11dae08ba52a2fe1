// Package gateway is the client side: it takes SOCKS and HTTP CONNECT requests
// from clients near by and carries each over a connection of its own to the
// relay, which is Multipath TCP, so that every access link takes part.
//
// Opening such a connection takes several round trips. They are paid before a
// client comes: a pool holds warm connections, with TLS and login done and every
// subflow joined, so that a request costs one flight.
package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"tributary/allowance"
	"tributary/bundle"
	"tributary/health"
	"tributary/history"
	"tributary/link"
	"tributary/mptcp"
	"tributary/passage"
	"tributary/proto/join"
	"tributary/proxy"
	"tributary/splice"
)

const (
	// sessionIdle ends a session in which nothing moved. As long as the relay's.
	sessionIdle = 24 * time.Hour

	// rejoinTime is when to look whether living connections have joined a new link.
	rejoinTime = 2 * time.Second

	// drainTime is what open sessions get to end when the gateway stops.
	drainTime = 2 * time.Second
)

// A Config is what a gateway needs to know.
type Config struct {
	SOCKS   netip.AddrPort // where clients ask: SOCKS4, 4a, 5 and HTTP CONNECT
	Relay   join.Link
	Opening Opening
	Links   *link.Manager // nil leaves the links alone
	Dial    Dial          // how to reach the relay; nil means by Multipath TCP
	// Plans are what links cost, by name; those not named are flat rates.
	Plans map[string]allowance.Plan
	// StateDir remembers what upkeep has cost the links, and what they have carried; ""
	// means no longer than the process lives.
	StateDir string
	Trace    func(bundle.Bundle) // is given what parts are decided by, each time; may be nil
	Joined   func()              // called once, when the relay has first accepted the login; may be nil
	Log      *slog.Logger
}

// Dial opens a stream to the relay, from a local address if that is valid.
type Dial func(ctx context.Context, from netip.Addr, to netip.AddrPort) (net.Conn, error)

// A Gateway is a bound gateway. Make it with New.
type Gateway struct {
	config   Config
	listener *net.TCPListener
	upstream *upstream
	pool     *pool
	flows    *flows
	monitor  *health.Monitor // nil where there are no links
	steering steering
	history  history.History // of what was decided
	accounts *accountant     // nil where there are no links
	passage  *passage.Monitor
	sessions proxy.Sessions
	owners   owners
	begun    chan struct{}        // a session has begun: what it carries is soon to be looked at
	slots    chan struct{}        // one for each client connection there may be
	outage   map[string]time.Time // since when each link has been silent with all others; of watchLinks alone
	renewals bundle.Renewals      // of watchLinks alone
	rejoined time.Time            // when connections without a link were looked for; likewise
}

// New binds the port. It fails loudly; a Gateway that it returns is ready.
func New(config Config) (*Gateway, error) {
	l, err := mptcp.Listen(context.Background(), "tcp", mptcp.ListenText(config.SOCKS), false, nil)
	if err != nil {
		return nil, fmt.Errorf("listen for clients: %w", err)
	}
	g := &Gateway{
		config:   config,
		listener: l,
		flows:    newFlows(),
		outage:   make(map[string]time.Time),
		begun:    make(chan struct{}, 1),
		slots:    make(chan struct{}, max(16, splice.MaxPairs()-2*poolCeiling)),
	}
	g.upstream = &upstream{
		to: config.Relay, log: config.Log,
		sources: g.sources, sixFirst: g.sixFirst, managed: g.managed, track: g.flows.track,
		resolve: func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		},
		dial:   config.Dial,
		shadow: shadow{port: config.Relay.Shadowsocks},
	}
	if config.Dial == nil {
		g.upstream.dial = g.dialRelay
	}
	g.passage = g.newPassage()
	g.upstream.tell, g.upstream.port, g.flows.tell = g.testify, g.passage.Port, g.passage.Tell
	if config.Links != nil {
		g.flows.joined, g.flows.lives = config.Links.Joined, g.lives
	}
	g.flows.doubt, g.upstream.heard = g.Doubt, g.flows.lastHeard
	g.flows.forsaken = func(n int) {
		config.Log.Debug("connections without a subflow were ended", "connections", n)
	}
	g.steering.start, g.steering.again = time.Now(), sampleEvery
	g.monitor = g.newMonitor()
	g.accounts = g.newAccountant()
	g.upstream.suspect = g.suspect
	g.pool = g.newPool()
	memory := newMemory(config.Opening)
	g.sessions = proxy.Sessions{
		Dialer: &dialer{g.upstream, g.pool, memory, config.Log},
		Early:  func(r *proxy.Request) time.Duration { return memory.early(r.To) },
		Log:    config.Log,
		Idle:   sessionIdle,
	}
	g.flows.marked = g.sessions.Mark
	return g, nil
}

// Addr returns the address that clients ask at.
func (g *Gateway) Addr() netip.AddrPort { return g.listener.Addr().(*net.TCPAddr).AddrPort() }

// Serve serves until ctx ends. Then it takes no more clients, gives open
// sessions a moment to end, and resets those that are left. It returns early,
// with the error, if the relay's first answer shows that the join link is wrong.
func (g *Gateway) Serve(ctx context.Context) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	live, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	var helpers, clients sync.WaitGroup
	helpers.Go(func() {
		if err := g.Warm(ctx); err != nil {
			stop(err)
		}
	})
	if g.monitor == nil {
		helpers.Go(func() { g.flows.run(live) })
	} else {
		helpers.Go(func() { g.monitor.Run(live) })
		helpers.Go(func() { g.watchLinks(live) })
		helpers.Go(func() { g.accounts.run(live) })
		helpers.Go(func() { g.passage.Run(live) })
		helpers.Go(func() { g.followPassage(live) })
	}
	helpers.Go(func() { g.flows.trimmer.Run(live) })
	helpers.Go(func() { g.flows.stale.Run(live, g.config.Log) })
	helpers.Go(func() { g.followLinks(ctx) })
	context.AfterFunc(ctx, func() { g.listener.Close() })

	err := g.accept(live, &clients)
	if ctx.Err() == nil {
		stop(fmt.Errorf("accept clients: %w", err))
	}
	for deadline := time.Now().Add(drainTime); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if open, _ := g.sessions.Counts(); open == 0 {
			break
		}
	}
	end()
	clients.Wait()
	helpers.Wait()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// Warm keeps warm connections until ctx ends. Serve runs it. It returns early only
// if the relay's very first answer is a refusal.
func (g *Gateway) Warm(ctx context.Context) error { return g.pool.run(ctx) }

func (g *Gateway) accept(live context.Context, clients *sync.WaitGroup) error {
	for {
		c, err := g.listener.AcceptTCP()
		if err != nil {
			if !proxy.Passing(err) {
				return err
			}
			g.config.Log.Warn("cannot accept", "err", err)
			time.Sleep(50 * time.Millisecond)
			continue
		}
		select {
		case g.slots <- struct{}{}:
		default:
			g.config.Log.Debug("client refused", "client", c.RemoteAddr(), "reason", proxy.Overloaded.String())
			splice.Abort(c)
			continue
		}
		clients.Add(1)
		go g.serveConn(live, c, func() {
			<-g.slots
			clients.Done()
		})
	}
}

// followLinks looks through the pool whenever a link has changed.
func (g *Gateway) followLinks(ctx context.Context) {
	if g.config.Links == nil {
		return
	}
	// The kernel needs a moment to join a new link to living connections.
	rejoined := time.After(rejoinTime)
	var back arrivals
	for {
		changed := g.config.Links.Changed()
		select {
		case <-ctx.Done():
			return
		case <-changed:
			rejoined = time.After(rejoinTime)
			back.note(g.config.Links.Links())
			g.pool.glance(g.subflows)
		case <-rejoined:
			if back.take() {
				g.pool.scout()
			}
			g.pool.check(g.subflows)
			g.pool.each(g.reportTrials)
		}
	}
}

// subflows returns how many subflows a warm connection has, and how many usable
// links there are for it.
func (g *Gateway) subflows(c *relayConn) (have, want int) {
	if c.socket == nil {
		return 1, 1
	}
	full, err := mptcp.FullInfo(c.socket)
	if err != nil {
		return 0, 1
	}
	have = established(full)
	to, _ := netip.ParseAddrPort(c.RemoteAddr().String())
	want = g.upstream.wants(c, to, full, g.passage.Trial)
	if !full.Fallback {
		return have, want
	}
	if len(full.Subflows) > 0 {
		v := g.passage.Verdict(full.Subflows[0].Local.Addr())
		if v == passage.OK || v.Plain() && want > 0 {
			return have, have + 1 // begun while there was no other way, as there is now
		}
	}
	return have, have // the path does not do more
}
