package gateway

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"tributary/mptcp"
	"tributary/passage"
	"tributary/proto/join"
	"tributary/proto/socks"
	"tributary/proxy"
	"tributary/splice"
)

const (
	// connectTime is what a warm connection to the relay may take until it is
	// authenticated, if nothing is heard of the relay.
	connectTime = 4500 * time.Millisecond

	// resolveTime is how long the relay's name may take to resolve when an address
	// that worked is known.
	resolveTime = 500 * time.Millisecond

	// nextLinkAfter is how long one link gets before the next is tried beside it.
	// It is the attempt delay of RFC 8305 section 5.
	nextLinkAfter = 250 * time.Millisecond

	// joinGrace is how long a new connection may wait for its subflows, in round
	// trips: joins start after the first data and take two.
	joinGraceRTTs = 6
	joinGraceMin  = 300 * time.Millisecond
)

// A stream is what a connection to the relay carries requests on.
type stream interface {
	splice.Conn
	SetLinger(sec int) error
}

// A relayConn is an authenticated connection to the relay, or one that will be.
type relayConn struct {
	stream
	tls     *splice.TLSConn // the same; nil on a cold connection by Shadowsocks
	socket  *net.TCPConn    // below; nil in tests without sockets
	setup   time.Duration   // of the TCP handshake: one round trip
	born    time.Time
	pending bool // the login's answer has not been read

	instance uint64     // which run of the relay this is, 0 where unknown
	flow     proxy.Flow // of the one request by Shadowsocks
}

// acked returns how much the relay's kernel has acknowledged.
func (c *relayConn) acked() (n uint64, known bool) {
	if c.socket == nil {
		return 0, false
	}
	n, err := mptcp.Acked(c.socket)
	return n, err == nil
}

// written returns what acked will be when all that was written so far has arrived.
func (c *relayConn) written() (n uint64, known bool) {
	if c.socket == nil {
		return 0, false
	}
	n, err := mptcp.Written(c.socket)
	return n, err == nil
}

// onClose has f called once, while the socket is still open for the last time.
func (c *relayConn) onClose(f func()) {
	switch s := c.stream.(type) {
	case *splice.TLSConn:
		s.OnClose = f
	case *splice.SealedConn:
		s.OnClose = f
	}
}

// A source is a local address to start a connection from, and the link it is on.
// The zero source leaves the choice to the routing table.
type source struct {
	link  string
	addr  netip.Addr
	apart bool // the kernel does not join from it: MPTCP does not pass, or there is no endpoint
}

// An upstream makes connections to the relay.
type upstream struct {
	to       join.Link
	log      *slog.Logger
	sources  func(v6 bool) []source                                  // best link first
	managed  func() bool                                             // whether the kernel is told of the links
	sixFirst func() bool                                             // whether to begin by IPv6 where there is a choice; nil is no
	track    func(*relayConn)                                        // told of each new connection
	port     func() uint16                                           // of the relay; nil is that of the join link
	tell     func(local netip.Addr, port uint16, e passage.Evidence) // of links that do not answer, or join; may be nil
	resolve  func(ctx context.Context, host string) ([]netip.Addr, error)
	dial     Dial
	shadow   shadow
	doubts   doubts
	suspect  func(netip.Addr) // told of links on which a request waits; may be nil
	heard    func() time.Time // when anything last came from the relay; nil where nobody knows

	raced, won atomic.Int64 // requests that had a rival, and those that it won

	announcer atomic.Uint64 // the run of the relay that was last seen to announce an address

	lastGood atomic.Pointer[[]netip.Addr] // used when the relay's name cannot be resolved
}

// connect opens TCP or MPTCP and TLS to the relay; wary as in race.
func (u *upstream) connect(ctx context.Context, wary bool) (*relayConn, error) {
	addrs, err := u.addresses(ctx)
	if err != nil {
		return nil, u.failed(fmt.Errorf("resolve relay %s: %w", u.to.Host, err))
	}
	start := time.Now()
	c, err := u.race(ctx, addrs, u.portNow(), wary)
	if err != nil {
		return nil, u.failed(fmt.Errorf("dial relay %s: %w", u.address(), err))
	}
	session := splice.ClientTLS(c, u.tlsConfig())
	conn := &relayConn{stream: session, tls: session, setup: time.Since(start), born: start}
	conn.socket, _ = c.(*net.TCPConn)
	u.track(conn)
	if deadline, ok := ctx.Deadline(); ok {
		conn.SetDeadline(deadline)
	}
	stop := context.AfterFunc(ctx, func() { splice.Abort(c) })
	defer stop()
	if err := session.HandshakeContext(ctx); err != nil {
		splice.Abort(conn)
		return nil, u.failed(fmt.Errorf("TLS with relay %s: %w", u.address(), err))
	}
	state := session.ConnectionState()
	if state.NegotiatedProtocol == socks.ALPN {
		conn.instance = state.PeerCertificates[0].SerialNumber.Uint64()
	}
	u.shadow.learn(state.PeerCertificates[0].NotBefore, conn.instance)
	return conn, nil
}

// warm returns a connection that only waits for a request: authenticated, and
// every subflow joined or given up on.
func (u *upstream) warm(ctx context.Context) (*relayConn, error) {
	conn, err := u.connect(ctx, false)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { splice.Abort(conn.tls) })
	defer stop()
	if err := u.login(conn); err != nil {
		splice.Abort(conn)
		return nil, err
	}
	u.waitJoined(ctx, conn)
	conn.SetDeadline(time.Time{})
	return conn, nil
}

func (u *upstream) login(conn *relayConn) error {
	hello, err := socks.AppendLogin(nil, u.to.Account, u.to.Secret.Text())
	if err != nil {
		return fmt.Errorf("log in at relay %s: %w", u.address(), err)
	}
	if _, err := conn.Write(hello); err != nil {
		return u.failed(fmt.Errorf("log in at relay %s: %w", u.address(), err))
	}
	if err := u.loginAnswer(conn); err != nil {
		return u.failed(err)
	}
	return nil
}

func (u *upstream) loginAnswer(conn *relayConn) error {
	err := socks.ReadLogin(conn.tls, u.to.Account) // below the stream, if there is one already
	var refused *proxy.Error
	switch {
	case errors.As(err, &refused) && refused.Reason == proxy.AuthenticationFailed:
		return &refusedError{
			fmt.Errorf("relay %s does not accept account %s with this secret", u.address(), u.to.Account),
			"get a new join link from the relay: tributary account link " + u.to.Account,
		}
	case err != nil:
		return fmt.Errorf("log in at relay %s: %w", u.address(), err)
	}
	return nil
}

// waitJoined waits until every usable link carries a subflow. The kernel's path
// manager begins only after data has flowed both ways, which the login was.
func (u *upstream) waitJoined(ctx context.Context, conn *relayConn) {
	if conn.socket == nil || !u.managed() || !mptcp.IsMultipath(conn.socket) {
		return
	}
	to, _ := netip.ParseAddrPort(conn.RemoteAddr().String())
	if now, later := u.expected(to, mptcp.Full{}); len(now)+len(later) < 2 {
		return
	}
	grace := time.After(max(joinGraceRTTs*conn.setup, joinGraceMin))
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for late := false; ; {
		full, err := mptcp.FullInfo(conn.socket)
		now, later := u.expected(to, full)
		u.hears(conn, full)
		if err != nil || established(full) >= len(now)+len(later) {
			return
		}
		if late {
			u.reportMissing(to, full, now)
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-grace:
			late = true
		case <-tick.C:
		}
	}
}

func (u *upstream) reportMissing(to netip.AddrPort, full mptcp.Full, sources []source) {
	for _, s := range sources {
		if !slices.ContainsFunc(full.Subflows, func(f mptcp.Subflow) bool {
			return f.State == mptcp.Established && f.Local.Addr() == s.addr
		}) {
			u.log.Debug("no subflow has joined", "link", s.link)
			u.told(s.addr, to.Port(), passage.Missed)
		}
	}
}

// race dials from one link after the other, the next beside the first when that
// is slow, and keeps the first connection that stands. If wary, for a request that
// waits, all doubtful links come last.
func (u *upstream) race(ctx context.Context, addrs []netip.Addr, port uint16, wary bool) (net.Conn, error) {
	attempts := u.awaited(ctx, addrs, port, wary)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type result struct {
		attempt
		conn net.Conn
		err  error
	}
	results := make(chan result, len(attempts))
	var failures []error
	next, running := 0, 0
	waiting := map[attempt]bool{}
	start := func() {
		a := attempts[next]
		next, running = next+1, running+1
		waiting[a] = true
		go func() {
			c, err := u.dial(ctx, a.from.addr, a.to)
			if err != nil && a.from.link != "" {
				err = fmt.Errorf("over %s: %w", a.from.link, err)
			}
			results <- result{a, c, err}
		}()
	}
	timer := time.NewTimer(nextLinkAfter)
	defer timer.Stop()
	due := true // the next attempt is
	for next < len(attempts) || running > 0 {
		if due && next < len(attempts) {
			due = false
			start()
			timer.Reset(nextLinkAfter)
		}
		select {
		case <-timer.C:
			due = true
		case r := <-results:
			running--
			delete(waiting, r.attempt)
			if r.err == nil {
				for a := range waiting { // begun before, save the next links' of a slow winner
					if slices.Index(attempts, a) < slices.Index(attempts, r.attempt) {
						u.told(a.from.addr, port, passage.Late)
					}
				}
				go func() { // the losers, who end soon: their context has
					for ; running > 0; running-- {
						if r := <-results; r.conn != nil {
							splice.Abort(r.conn)
						}
					}
				}()
				return r.conn, nil
			}
			failures = append(failures, r.err)
			due = true
			if ctx.Err() != nil {
				next = len(attempts)
			}
		}
	}
	if len(failures) == 0 {
		return nil, errors.New("no link has an address for it")
	}
	return nil, errors.Join(failures...)
}

// addresses returns the relay's addresses: the literal, or what its name says,
// or what it said last.
func (u *upstream) addresses(ctx context.Context) ([]netip.Addr, error) {
	if all := u.literals(); all != nil {
		return all, nil
	}
	good := u.lastGood.Load()
	if good != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, resolveTime)
		defer cancel()
	}
	addrs, err := u.resolve(ctx, u.to.Host)
	if err != nil {
		if good != nil {
			return *good, nil
		}
		return nil, err
	}
	for i := range addrs {
		addrs[i] = addrs[i].Unmap()
	}
	u.lastGood.Store(&addrs)
	return addrs, nil
}

// literals returns the addresses that the join link names, none where it has a name.
func (u *upstream) literals() []netip.Addr {
	a, err := netip.ParseAddr(u.to.Host)
	switch {
	case err != nil:
		return nil
	case u.to.Other.IsValid():
		return []netip.Addr{a.Unmap(), u.to.Other.Unmap()}
	}
	return []netip.Addr{a.Unmap()}
}

// places returns the addresses of the relay that are known without asking anybody.
func (u *upstream) places() []netip.Addr {
	if all := u.literals(); all != nil {
		return all
	}
	if all := u.lastGood.Load(); all != nil {
		return *all
	}
	return nil
}

// portNow returns the relay's port to connect to.
func (u *upstream) portNow() uint16 {
	if u.port == nil {
		return u.to.Port
	}
	return u.port()
}

func (u *upstream) told(local netip.Addr, port uint16, e passage.Evidence) {
	if u.tell != nil {
		u.tell(local, port, e)
	}
}

func (u *upstream) address() string {
	return net.JoinHostPort(u.to.Host, fmt.Sprint(u.to.Port))
}

// tlsConfig trusts exactly the key that the join link names, whatever name or
// date the certificate around it has.
func (u *upstream) tlsConfig() *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS13,
		NextProtos:         []string{socks.ALPN},
		ServerName:         u.to.Host,
		InsecureSkipVerify: true, // in favour of the pin
		VerifyConnection: func(s tls.ConnectionState) error {
			got := sha256.Sum256(s.PeerCertificates[0].RawSubjectPublicKeyInfo)
			if subtle.ConstantTimeCompare(got[:], u.to.Pin[:]) != 1 {
				return &refusedError{
					fmt.Errorf("the server's key does not match the pin in the join link"),
					"the relay has a new key, or this is another server: get a new join link from the relay",
				}
			}
			return nil
		},
	}
}

// failed marks an error as being about the way to the relay.
func (u *upstream) failed(err error) error {
	var refused *refusedError
	if errors.As(err, &refused) {
		return err
	}
	return &proxy.Error{Reason: proxy.RelayUnreachable, Err: err}
}

// A refusedError will not go away by trying again.
type refusedError struct {
	err  error
	hint string
}

func (e *refusedError) Error() string { return e.err.Error() }
func (e *refusedError) Unwrap() error { return e.err }

// Hint says what to do.
func (e *refusedError) Hint() string { return e.hint }
