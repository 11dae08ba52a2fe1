// Package relay is the server: one port that speaks SOCKS and HTTP CONNECT
// inside TLS over Multipath TCP, for accounts, towards final servers that know
// plain TCP only.
//
// One port is enough because the first byte tells the protocols apart: 0x16 is
// TLS, 4 and 5 are SOCKS, and C is HTTP CONNECT. The latter three are served
// inside TLS for everybody, and in the clear only for networks that the
// configuration trusts. Shadowsocks has no first byte to tell it by, and a port of
// its own.
package relay

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"tributary/account"
	"tributary/egress"
	"tributary/mptcp"
	"tributary/mptcp/stale"
	"tributary/proto/join"
	"tributary/proto/socks"
	"tributary/proxy"
	"tributary/speed"
	"tributary/splice"
)

// Chosen by us.
const (
	// handshakeTime is what a stranger gets to say who it is. It covers a TLS
	// handshake and a login over a bad satellite link (6 round trips of 1.5 s).
	handshakeTime = 10 * time.Second

	// requestTime is how long an authenticated connection may wait for its
	// request. Gateways keep warm connections and renew them well before; each that
	// is made costs them 5 kB, so that this decides what a day at rest costs.
	requestTime = 4 * time.Hour

	// sessionIdle is how long a session may stay silent in both directions. Long
	// because people leave SSH sessions open overnight; an idle session costs
	// little, and keepalive ends those whose peer is gone.
	sessionIdle = 24 * time.Hour

	// answerHold is how long the answer to a request that came with early data may
	// wait for the final server's first bytes. The gateway's client was told
	// already; and an answer that is still unacknowledged makes the kernel send
	// the bytes behind it over another, slower link. As long as most servers think.
	answerHold = 250 * time.Millisecond

	// drainTime is what open sessions get to end by themselves when the relay
	// stops.
	drainTime = 2 * time.Second

	// DefaultPerAccount is the default of Config.PerAccount: several times what a
	// household with a dozen busy devices was seen to hold.
	DefaultPerAccount = 2048
)

// A Config is what a relay needs to know.
type Config struct {
	Listen       netip.AddrPort // where to listen; the zero address means both families
	Also         []uint16       // further ports there, for links on which the first is not let through; join.MaxAlso at most
	Shadowsocks  netip.AddrPort // where for Shadowsocks; zero is nowhere, without an address it is where Listen is
	Advertise    string         // host in join links; "" means the first public address
	StateDir     string         // holds the key; must exist
	Accounts     *account.Store
	AllowPrivate bool           // let accounts reach private, loopback and link-local addresses
	TrustClear   []netip.Prefix // networks whose clients may speak without TLS
	PerAccount   int            // connections per account, 0 means DefaultPerAccount
	Speed        bool           // answer for speed.Host, so that gateways can measure their links
	Egress       proxy.Dialer   // how to reach final servers; nil means by TCP, as policy allows
	Log          *slog.Logger
}

// A Relay is a bound relay. Make it with New.
type Relay struct {
	config   Config
	tls      *tls.Config
	listener *net.TCPListener
	also     []*net.TCPListener
	shadow   *shadow // nil without Shadowsocks
	sessions proxy.Sessions
	limits   limits
	flows    *flows
	probes   *probes
	trimmer  mptcp.Trimmer // so that a lost link's bytes wait behind little
	stale    stale.Ender   // so that they do not wait for a link that is back
}

// New makes keys if there are none and binds the ports. It fails loudly; a Relay
// that it returns is ready.
func New(config Config) (*Relay, error) {
	if config.PerAccount == 0 {
		config.PerAccount = DefaultPerAccount
	}
	if config.Egress == nil {
		config.Egress = newEgress(config)
	}
	if config.Speed {
		config.Egress = speed.New(config.Egress)
	}
	id, err := loadIdentity(config.StateDir)
	if err != nil {
		return nil, err
	}
	l, err := mptcp.Listen(context.Background(), "tcp", mptcp.ListenText(config.Listen), true, nil)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", mptcp.ListenText(config.Listen), err)
	}
	also, err := listenAlso(config)
	if err != nil {
		l.Close()
		return nil, err
	}
	flows := newFlows()
	r := &Relay{
		config: config,
		tls: &tls.Config{
			GetCertificate: (&certifier{key: id.key, instance: flows.instance}).certificate,
			MinVersion:     tls.VersionTLS13,
			// Ours, and what a browser offers to an HTTPS proxy.
			NextProtos: []string{socks.ALPN, "http/1.1"},
			// A ticket would be bytes that make a warm connection look as if it had
			// something to say, and state that nobody resumes.
			SessionTicketsDisabled: true,
		},
		listener: l,
		also:     also,
		flows:    flows,
		limits:   limits{total: splice.MaxPairs(), perAccount: config.PerAccount},
	}
	if config.Shadowsocks == (netip.AddrPort{}) {
		err = noShadow(config.StateDir)
	} else {
		r.shadow, err = newShadow(config, id)
	}
	if err != nil {
		for _, l := range append(also, l) {
			l.Close()
		}
		return nil, err
	}
	r.probes = newProbes(config, r.ports(), flows.instance)
	r.sessions = proxy.Sessions{
		Dialer: config.Egress,
		Log:    config.Log,
		Idle:   sessionIdle,
		Hold:   answerHold,
		Bound: func(c proxy.Conn) netip.AddrPort {
			a, _ := netip.ParseAddrPort(c.LocalAddr().String())
			return a
		},
	}
	return r, nil
}

// Addr returns the address that the relay listens on.
func (r *Relay) Addr() netip.AddrPort { return r.listener.Addr().(*net.TCPAddr).AddrPort() }

// ports returns those that gateways come to, the preferred one first.
func (r *Relay) ports() (all []uint16) {
	for _, l := range append([]*net.TCPListener{r.listener}, r.also...) {
		all = append(all, uint16(l.Addr().(*net.TCPAddr).Port))
	}
	return all
}

// Shadowsocks returns the address for Shadowsocks, not valid where there is none.
func (r *Relay) Shadowsocks() netip.AddrPort {
	if r.shadow == nil {
		return netip.AddrPort{}
	}
	return r.shadow.addr
}

// JoinLink returns what a gateway needs to use the named account.
func (r *Relay) JoinLink(name string) (join.Link, error) {
	l, err := JoinLink(r.config.Accounts, name, r.config.StateDir, r.config.Advertise, r.Addr().Port())
	if at := r.config.Listen.Addr(); at.IsValid() && at != netip.IPv6Unspecified() {
		l.Other = netip.Addr{} // it is not listened there
	}
	return l, err
}

// JoinLink makes the join link of a relay that need not run: its state directory
// is enough. An empty host means the first public address of this machine. The
// Shadowsocks port is the one that a relay there had last.
func JoinLink(accounts *account.Store, name, dir, host string, port uint16) (join.Link, error) {
	id, err := loadIdentity(dir)
	if err != nil {
		return join.Link{}, err
	}
	a, ok := accounts.Get(name)
	if !ok {
		return join.Link{}, fmt.Errorf("account %q: %w", name, account.ErrUnknown)
	}
	var other netip.Addr
	if host == "" {
		if host, other, err = advertised(); err != nil {
			return join.Link{}, err
		}
	}
	m, err := readMemo(dir)
	if err != nil {
		return join.Link{}, err
	}
	l := join.Link{Account: a.Name, Secret: a.Secret.Key(), Host: host, Port: port, Pin: id.pin, Other: other}
	if l.Also, err = readAlso(dir); err != nil {
		return join.Link{}, err
	}
	if m != nil {
		l.Shadowsocks = m.Port
	}
	if _, err := join.Parse(l.Text()); err != nil { // the host is as somebody typed it
		return join.Link{}, fmt.Errorf("join link for %q: %w", host, err)
	}
	return l, nil
}

// Serve serves until ctx ends. Then it takes no more connections, gives open
// sessions a moment to end, and resets those that are left.
func (r *Relay) Serve(ctx context.Context) error {
	// Sessions outlive ctx by the drain; this ends them.
	live, end := context.WithCancel(context.WithoutCancel(ctx))
	defer r.probes.start()()
	var open, helpers sync.WaitGroup
	defer helpers.Wait()
	defer end()
	helpers.Go(func() { r.trimmer.Run(live) })
	helpers.Go(func() { r.stale.Run(live, r.config.Log) })
	if err := r.acceptAll(ctx, live, &open); ctx.Err() == nil {
		return err
	}
	r.drain(&open, end)
	if r.shadow != nil {
		if err := r.shadow.stopMemo(r.config.StateDir); err != nil {
			r.config.Log.Warn("Shadowsocks will be closed for a while after the next start", "err", err)
		}
	}
	return nil
}

// acceptAll accepts on all ports until ctx ends or one of them fails.
func (r *Relay) acceptAll(ctx, live context.Context, open *sync.WaitGroup) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	accept := func(l *net.TCPListener, request func(*visitor) (*proxy.Request, error)) error {
		defer l.Close()
		defer context.AfterFunc(ctx, func() { l.Close() })()
		return fmt.Errorf("accept on %s: %w", l.Addr(), r.accept(live, open, l, request))
	}
	var all sync.WaitGroup
	errs := make([]error, 2+len(r.also))
	all.Go(func() {
		defer stop()
		if r.shadow == nil {
			<-ctx.Done()
			return
		}
		l, err := r.shadow.open(ctx)
		if err == nil {
			err = accept(l, (*visitor).opening)
		}
		errs[0] = err
	})
	for i, l := range append(r.also, r.listener) {
		all.Go(func() {
			defer stop()
			errs[1+i] = accept(l, (*visitor).request)
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// drain gives open sessions a moment to end, and ends those that are left.
func (r *Relay) drain(open *sync.WaitGroup, end func()) {
	drained := make(chan struct{})
	go func() { open.Wait(); close(drained) }()
	deadline := time.After(drainTime)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for waiting := true; waiting; {
		select {
		case <-drained:
			return
		case <-deadline:
			waiting = false
		case <-tick.C:
			n, _ := r.sessions.Counts()
			waiting = n > 0 // connections without a session have nothing to finish
		}
	}
	end()
	<-drained
}

// accept hands each connection to a goroutine of its own. A lack of descriptors
// passes; anything else ends the relay.
func (r *Relay) accept(live context.Context, open *sync.WaitGroup, l *net.TCPListener, request func(*visitor) (*proxy.Request, error)) error {
	for {
		c, err := l.AcceptTCP()
		if err != nil {
			if errors.Is(err, net.ErrClosed) || !proxy.Passing(err) {
				return err
			}
			r.config.Log.Warn("cannot accept", "err", err)
			time.Sleep(50 * time.Millisecond)
			continue
		}
		if !r.limits.enter() {
			r.config.Log.Debug("connection refused", "client", c.RemoteAddr(), "reason", proxy.Overloaded.String())
			splice.Abort(c)
			continue
		}
		open.Add(1)
		go r.serve(live, c, request, func() {
			r.limits.leave()
			open.Done()
		})
	}
}

// newEgress leaves from this host. The advertised address counts as its own even
// where no interface has it: a one-to-one NAT leads back here.
func newEgress(config Config) proxy.Dialer {
	e := egress.Config{AllowPrivate: config.AllowPrivate, Log: config.Log}
	if a, err := netip.ParseAddr(config.Advertise); err == nil {
		e.Own = []netip.Addr{a}
	}
	return egress.New(e)
}
