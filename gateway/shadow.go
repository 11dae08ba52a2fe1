package gateway

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"tributary/proto/shadowsocks"
	"tributary/proxy"
	"tributary/splice"
)

const (
	// shadowAvoid is how long cold connections use TLS after one by Shadowsocks has
	// failed: its port may be blocked or closed, or the clocks differ. Each try then
	// costs a client some time, so the wait doubles up to shadowAvoidMost; but it
	// begins small, for a link that loses packets looks the same.
	shadowAvoid     = 15 * time.Second
	shadowAvoidMost = 5 * time.Minute

	// clockSlack is what may lie between the two ways to measure time before what
	// is known of the relay's clock counts as lost: the one stands still while this
	// host sleeps, the other jumps when somebody sets it. SIP022 allows 30 s.
	clockSlack = 5 * time.Second
)

// A shadow knows whether cold connections can go by Shadowsocks, which takes one
// round trip less than TLS. An opening whose time is wrong by 30 s is refused, and
// what it carried of a client's cannot safely be sent again. So this way is
// taken only when the relay's clock is known, from a TLS handshake with it: the
// pool does those all the time.
type shadow struct {
	port uint16 // 0 is none

	mu       sync.Mutex
	clock    time.Time     // the relay's
	at       time.Time     // ours when it was so; zero when nothing is known
	wall     time.Time     // the same, as the wall clock had it
	instance uint64        // which run of the relay that was, 0 where unknown
	avoid    time.Time     // until then
	wait     time.Duration // how long that was
}

// learn takes the relay's time from the date of its certificate, which is up to
// two seconds ago: it counts whole ones, and makes one certificate for each. With it
// comes which run of the relay that is.
func (s *shadow) learn(notBefore time.Time, instance uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.instance = instance
	now := time.Now()
	clock := notBefore.Add(time.Second)
	if off := clock.Sub(s.clock.Add(now.Sub(s.at))); off > clockSlack || off < -clockSlack {
		s.avoid, s.wait = time.Time{}, 0 // if that was the trouble, it is over
	}
	s.clock, s.at, s.wall = clock, now, now.Round(0)
}

// now returns the relay's time.
func (s *shadow) now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.clock.Add(time.Since(s.at))
}

func (s *shadow) usable() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if s.port == 0 || s.at.IsZero() || now.Before(s.avoid) {
		return false
	}
	drift := now.Round(0).Sub(s.wall) - now.Sub(s.at)
	return drift < clockSlack && drift > -clockSlack
}

// name returns the flow for a request that goes this way: the one that it must have, if
// any, or a new one. It is not ok where the relay would not take that.
func (s *shadow) name(must proxy.Flow) (f proxy.Flow, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if must != (proxy.Flow{}) {
		return must, instanceOf(must) == s.instance
	}
	return newFlow(s.instance), true
}

// forget is for a run of the relay that is over.
func (s *shadow) forget(instance uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.instance == instance {
		s.instance = 0
	}
}

// failed notes that this way does not work: it is avoided, for longer each time until
// it has worked. Several that went at a time count as one.
func (s *shadow) failed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := time.Now(); !now.Before(s.avoid) {
		s.wait = min(max(shadowAvoid, 2*s.wait), shadowAvoidMost)
		s.avoid = now.Add(s.wait)
	}
}

// cleared notes that the relay has answered, or that the way is not to blame.
func (s *shadow) cleared() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.avoid, s.wait = time.Time{}, 0
}

// sealed opens TCP or MPTCP to the relay's Shadowsocks port. The first write on it
// is the whole request.
func (u *upstream) sealed(ctx context.Context, to proxy.Addr, flow proxy.Flow) (*relayConn, error) {
	addrs, err := u.addresses(ctx)
	if err != nil {
		return nil, fmt.Errorf("resolve relay %s: %w", u.to.Host, err)
	}
	start := time.Now()
	c, err := u.race(ctx, addrs, u.shadow.port, true)
	if err != nil {
		return nil, fmt.Errorf("dial relay %s: %w", net.JoinHostPort(u.to.Host, strconv.Itoa(int(u.shadow.port))), err)
	}
	client := shadowsocks.NewClient(shadowsocks.IdentityKey(u.to.Pin), shadowsocks.Key(u.to.Secret), to, true, u.shadow.now)
	client.Flow = flow
	conn := &relayConn{stream: splice.Sealed(c, nil, client), setup: time.Since(start), born: start, flow: flow}
	conn.socket, _ = c.(*net.TCPConn)
	u.track(conn)
	return conn, nil
}

// cold returns a new connection for one request: by Shadowsocks if that can be
// had soon, else by TLS. The flow is the one that the request must have, if any.
func (d *dialer) cold(ctx context.Context, to proxy.Addr, flow proxy.Flow) (*relayConn, error) {
	u := d.upstream
	flow, named := u.shadow.name(flow)
	tried := named && u.shadow.usable()
	within := 2*nextLinkAfter + 2*d.pool.roundTrip()
	if tried {
		soon, cancel := context.WithTimeout(ctx, within)
		c, err := u.sealed(soon, to, flow)
		cancel()
		if err == nil {
			return c, nil
		}
		if ctx.Err() != nil {
			return nil, u.failed(err)
		}
		u.shadow.failed()
		d.log.Debug("cold connections use TLS for a while", "err", err)
	}
	c, err := u.connect(ctx, true)
	if tried && (err != nil || c.setup >= within) {
		u.shadow.cleared() // the other port was no better
	}
	if err != nil {
		return nil, err
	}
	c.pending = true
	return c, nil
}
