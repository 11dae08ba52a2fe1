package relay

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"tributary/account"
	"tributary/durable"
	"tributary/mptcp"
	"tributary/proto/shadowsocks"
	"tributary/proxy"
	"tributary/splice"
)

// A shadow is the relay's second port, which speaks Shadowsocks 2022. A client
// says everything in its first flight there, so a stream costs what it would cost
// without a relay.
//
// A stranger learns nothing from it: whatever is wrong with an opening, and where,
// the connection ends with a reset (SIP022 wants it to be always the same).
type shadow struct {
	listener *net.TCPListener // nil while it is too early to accept anything
	addr     netip.AddrPort
	server   shadowsocks.Server
	floor    int64                             // openings of this time or before are refused
	users    roster[[shadowsocks.KeySize]byte] // by the hash of their key
}

// newShadow binds the port. After an unclean stop it takes openings only once all
// that may have been accepted before is too old; until then the port is closed,
// so that gateways notice before they have sent anything of a client's.
func newShadow(config Config, id identity) (*shadow, error) {
	at := config.Shadowsocks
	if !at.Addr().IsValid() {
		at = netip.AddrPortFrom(config.Listen.Addr(), at.Port())
	}
	l, err := mptcp.Listen(context.Background(), "tcp", mptcp.ListenText(at), true, nil)
	if err != nil {
		return nil, &ShadowsocksError{fmt.Errorf("listen for Shadowsocks on %s: %w", mptcp.ListenText(at), err)}
	}
	s := &shadow{listener: l, addr: l.Addr().(*net.TCPAddr).AddrPort()}
	s.users.accounts = config.Accounts
	s.users.key = func(secret [account.SecretSize]byte) [shadowsocks.KeySize]byte { return shadowsocks.UserHash(secret) }
	if s.floor, err = startMemo(config.StateDir, s.addr.Port(), time.Now()); err != nil {
		l.Close()
		return nil, err
	}
	s.server = shadowsocks.Server{Identity: shadowsocks.IdentityKey(id.pin), Replay: shadowsocks.NewReplay(s.floor), User: s.user}
	if s.wait() > 0 {
		l.Close()
		s.listener = nil
	}
	return s, nil
}

// A ShadowsocksError says that the port for Shadowsocks cannot be had.
type ShadowsocksError struct{ err error }

func (e *ShadowsocksError) Error() string { return e.err.Error() }

// Unwrap returns the cause.
func (e *ShadowsocksError) Unwrap() error { return e.err }

// clockLag is how far a gateway's idea of our clock may be behind: the certificate
// from which it has it counts whole seconds. An opening that is refused for being
// as old as the floor is one too many.
const clockLag = 2 * time.Second

// wait returns how long it is until openings can be accepted.
func (s *shadow) wait() time.Duration {
	return time.Until(time.Unix(s.floor+1, 0).Add(clockLag))
}

// open binds the port again if it was too early at first.
func (s *shadow) open(ctx context.Context) (*net.TCPListener, error) {
	if s.listener != nil {
		return s.listener, nil
	}
	select {
	case <-time.After(s.wait()):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	l, err := mptcp.Listen(ctx, "tcp", s.addr.String(), true, nil)
	if err != nil {
		return nil, &ShadowsocksError{fmt.Errorf("listen for Shadowsocks on %s: %w", s.addr, err)}
	}
	return l, nil
}

// user finds an account by the hash of its key.
func (s *shadow) user(hash [shadowsocks.KeySize]byte) (string, shadowsocks.Key, bool) {
	a, ok := s.users.find(hash)
	if !ok {
		return "", shadowsocks.Key{}, false
	}
	return a.Name, shadowsocks.Key(a.Secret.Key()), true
}

// ServeShadowsocks is [Relay.ServeConn] for a connection to the other port.
func (r *Relay) ServeShadowsocks(live context.Context, c proxy.Conn) {
	done := make(chan struct{})
	r.serve(live, c, (*visitor).opening, func() { close(done) })
	<-done
}

// opening reads a Shadowsocks client's first flight.
func (v *visitor) opening() (*proxy.Request, error) {
	v.conn.SetDeadline(time.Now().Add(handshakeTime))
	first := make([]byte, firstRead)
	n, err := v.conn.Read(first)
	if err != nil {
		return nil, fmt.Errorf("read the opening: %w", err)
	}
	st, err := v.relay.shadow.server.Accept(first[:n], v.conn, time.Now)
	if err != nil {
		return nil, err
	}
	c := splice.Sealed(v.conn, st.Rest, st)
	c.Arrived = arrived(v.conn)
	req := &proxy.Request{Inbound: "shadowsocks", To: st.To, User: st.User, Early: st.Early, Pending: &sealedPending{c, st.Own}}
	req.From, _ = netip.ParseAddrPort(v.conn.RemoteAddr().String())
	st.Early, st.Rest = nil, nil
	if !v.relay.limits.enterAccount(st.User) {
		req.Refuse(proxy.Overloaded)
		return nil, fmt.Errorf("account %s: %s", st.User, proxy.Overloaded)
	}
	v.account = st.User
	return v.relay.flows.once(req, st.Flow)
}

// arrived returns what reports whether the peer has acknowledged all that was written
// to a connection, or nobody can know; nil where the kernel sends on by itself after a
// close, as it does on plain TCP.
func arrived(c proxy.Conn) func() bool {
	t, ok := c.(*net.TCPConn)
	if !ok || !mptcp.IsMultipath(t) {
		return nil
	}
	return func() bool {
		written, werr := mptcp.Written(t)
		acked, err := mptcp.Acked(t)
		return werr != nil || err != nil || acked >= written || !mptcp.Quiet(t) // the peer has gone
	}
}

// A sealedPending is an opening that was read and not answered.
type sealedPending struct {
	c   *splice.SealedConn
	own bool
}

// Accept answers a gateway of ours. Other clients know no answer: for them the
// response begins with the final server's first byte.
func (p *sealedPending) Accept(netip.AddrPort) (proxy.Conn, error) {
	if p.own {
		if _, err := p.c.Write(shadowsocks.AppendOutcome(nil, nil)); err != nil {
			p.c.Close()
			return nil, fmt.Errorf("shadowsocks response: %w", err)
		}
	}
	return p.c, nil
}

// AcceptWithin makes it a proxy.Holder.
func (p *sealedPending) AcceptWithin(_ netip.AddrPort, within time.Duration) (proxy.Conn, error) {
	if p.own {
		p.c.WriteLater(shadowsocks.AppendOutcome(nil, nil), within)
	}
	return p.c, nil
}

// Refuse tells a gateway of ours why, as [proxy.HangUp] does but for what still
// comes, which need not be opened any more. For other clients a reset has to do.
func (p *sealedPending) Refuse(reason proxy.Reason) error {
	if !p.own {
		return splice.Abort(p.c)
	}
	defer p.c.Close()
	p.c.SetDeadline(time.Now().Add(proxy.LingerTime))
	if _, err := p.c.Write(shadowsocks.AppendOutcome(nil, &reason)); err != nil {
		return fmt.Errorf("shadowsocks response: %w", err)
	}
	if p.c.CloseWrite() == nil {
		io.CopyN(io.Discard, p.c.NetConn(), proxy.LingerBytes) // or a reset would overtake the answer
	}
	return nil
}

// memoFile holds what the relay's Shadowsocks side has to know after a restart.
const memoFile = "shadowsocks.json"

// A memo is that file. Newest is there after a clean stop alone.
type memo struct {
	Port   uint16 `json:"port"`             // for join links; 0 is off
	Newest *int64 `json:"newest,omitempty"` // the highest timestamp accepted, seconds since 1970
}

// readMemo returns nil where there is none. A damaged one is as good as one from
// before a crash: nobody knows what was accepted.
func readMemo(dir string) (*memo, error) {
	path := filepath.Join(dir, memoFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	m := &memo{}
	if json.Unmarshal(text, m) != nil {
		return &memo{}, nil
	}
	return m, nil
}

// writeMemo puts the file in place in one step that survives a power cut: else an
// older one would come back, with a floor below what was accepted since.
func writeMemo(dir string, m memo) error {
	path := filepath.Join(dir, memoFile)
	text, err := json.Marshal(m)
	if err == nil {
		old, _ := os.ReadFile(path)
		if text = append(text, '\n'); bytes.Equal(old, text) {
			return nil
		}
		err = durable.WriteFile(path, text)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// startMemo notes the port and returns the floor for the timestamps of openings.
// Without a file none was ever accepted. After a stop in good order the newest is
// known. After anything else it can be any that was valid until now; and none
// beyond that is, not even after a good stop.
func startMemo(dir string, port uint16, now time.Time) (floor int64, err error) {
	m, err := readMemo(dir)
	if err != nil {
		return 0, err
	}
	switch most := now.Unix() + shadowsocks.Window; {
	case m == nil:
	case m.Newest != nil:
		floor = min(*m.Newest, most)
	default:
		floor = most
	}
	return floor, writeMemo(dir, memo{Port: port})
}

// stopMemo notes a clean stop.
func (s *shadow) stopMemo(dir string) error {
	newest := s.server.Replay.Newest()
	return writeMemo(dir, memo{Port: s.addr.Port(), Newest: &newest})
}

// noShadow notes that there is no such port, and keeps what the next start with
// one has to know.
func noShadow(dir string) error {
	m, err := readMemo(dir)
	if err != nil || m == nil {
		return err
	}
	m.Port = 0
	return writeMemo(dir, *m)
}
