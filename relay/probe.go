package relay

import (
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"

	"tributary/account"
	"tributary/mptcp"
	"tributary/proto/probe"
)

// What is answered of gateways' probes, per second and at once. A gateway sends 20
// per link and second.
const (
	probesPerAccount = 2_000
	probesInTotal    = 20_000
	probeBurst       = 0.25 // seconds
)

// probes answers gateways' probes on the UDP ports of the numbers of the relay's
// TCP ports. What is not a probe of an account hears nothing.
//
// It is an extra: a relay whose port cannot be had works without, and gateways
// then judge their links by what the traffic tells.
type probes struct {
	log      *slog.Logger
	instance uint64
	sockets  []*probeSocket

	mu      sync.Mutex // guards what follows: each family has a goroutine
	known   roster[probe.ID]
	holders map[probe.ID]*holder
	total   bucket
}

// A holder is an account that has probed.
type holder struct {
	secret [account.SecretSize]byte
	key    *probe.Key
	bucket bucket
}

// newProbes binds where the TCP listener is bound. Where that is any address there
// is a socket for each family: only so can the address of an answer be chosen
// for IPv4 too.
func newProbes(config Config, ports []uint16, instance uint64) *probes {
	p := &probes{log: config.Log, instance: instance, holders: make(map[probe.ID]*holder)}
	p.known.accounts, p.known.key = config.Accounts, probe.IDOf
	at := config.Listen.Addr()
	networks := []string{"udp4", "udp6"}
	switch {
	case at.Is4():
		networks = networks[:1]
	case at.IsValid() && !at.IsUnspecified():
		networks = networks[1:]
	default:
		at = netip.Addr{}
	}
	for _, port := range ports {
		for _, network := range networks {
			p.open(network, netip.AddrPortFrom(at, port))
		}
	}
	return p
}

// open opens one socket, if it can be had.
func (p *probes) open(network string, at netip.AddrPort) {
	s, err := newProbeSocket(network, at)
	switch {
	case err == nil:
		p.sockets = append(p.sockets, s)
	case errors.Is(err, syscall.EAFNOSUPPORT) || errors.Is(err, syscall.EADDRNOTAVAIL): // a host without this family
		p.log.Debug("no probes of links", "listen", network, "port", at.Port(), "err", err)
	default:
		p.log.Warn("gateways cannot probe their links", "listen", network, "port", at.Port(), "err", err)
	}
}

// start answers until the function it returns is called, which waits.
func (p *probes) start() (stop func()) {
	var running sync.WaitGroup
	for _, s := range p.sockets {
		running.Go(func() { s.serve(p) })
	}
	return func() {
		for _, s := range p.sockets {
			s.conn.Close()
		}
		running.Wait()
	}
}

// answer appends the echo to b, if there is one.
func (p *probes) answer(b, datagram []byte, now time.Time) ([]byte, bool) {
	id, ok := probe.Account(datagram)
	if !ok {
		return b, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	a, ok := p.known.find(id)
	if !ok {
		return b, false
	}
	h := p.holders[id]
	if secret := a.Secret.Key(); h == nil || h.secret != secret {
		h = &holder{secret: secret, key: probe.NewKey(secret)}
		p.holders[id] = h
	}
	// The MAC comes first, or strangers could use up what is the account's.
	r, err := h.key.ReadRequest(datagram)
	if err != nil || !h.bucket.take(now, probesPerAccount) || !p.total.take(now, probesInTotal) {
		return b, false
	}
	return h.key.AppendEcho(b, probe.Echo{Request: r, Instance: p.instance}), true
}

// A bucket holds what may be done at once. The zero bucket is full.
type bucket struct {
	used float64
	at   time.Time
}

// take takes one, if there is one.
func (b *bucket) take(now time.Time, perSecond float64) bool {
	b.used = max(0, b.used-perSecond*max(0, now.Sub(b.at).Seconds()))
	b.at = now
	if b.used+1 > perSecond*probeBurst {
		return false
	}
	b.used++
	return true
}

// A probeSocket answers from the address that was asked: a gateway's socket hears
// no other, and a host has several.
type probeSocket struct {
	conn   *net.UDPConn
	v6     bool
	chosen bool              // the address is, by binding
	from   map[string][]byte // control message of an answer, by that of the request
}

// addressLimit is how many of the host's addresses a socket remembers.
const addressLimit = 64

func newProbeSocket(network string, at netip.AddrPort) (*probeSocket, error) {
	addr, err := net.ResolveUDPAddr(network, mptcp.ListenText(at))
	if err != nil {
		return nil, err
	}
	c, err := net.ListenUDP(network, addr)
	if err != nil {
		return nil, err
	}
	s := &probeSocket{conn: c, v6: network == "udp6", chosen: at.Addr().IsValid() && !at.Addr().IsUnspecified(), from: make(map[string][]byte)}
	switch {
	case s.chosen:
	case s.v6:
		err = ipv6.NewPacketConn(c).SetControlMessage(ipv6.FlagDst|ipv6.FlagInterface, true)
	default:
		err = ipv4.NewPacketConn(c).SetControlMessage(ipv4.FlagDst|ipv4.FlagInterface, true)
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return s, nil
}

func (s *probeSocket) serve(p *probes) {
	// One more, so that what is too long is not taken for a probe.
	in, out, control := make([]byte, probe.Size+1), make([]byte, 0, probe.Size), make([]byte, 128)
	for {
		err := s.once(p, in, out, control)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			time.Sleep(50 * time.Millisecond)
		}
	}
}

// once answers one datagram. That an answer cannot be sent, to that gateway or
// now, is no error.
func (s *probeSocket) once(p *probes, in, out, control []byte) error {
	n, cn, _, peer, err := s.conn.ReadMsgUDPAddrPort(in, control)
	if err != nil {
		return err
	}
	if out, ok := p.answer(out, in[:n], time.Now()); ok {
		s.conn.WriteMsgUDPAddrPort(out, s.source(control[:cn]), peer)
	}
	return nil
}

// source turns the control message of a request, which says where it came to,
// into one that lets the answer leave from there. There are as many as the host
// has addresses.
func (s *probeSocket) source(control []byte) []byte {
	if s.chosen {
		return nil
	}
	if c, ok := s.from[string(control)]; ok {
		return c
	}
	if len(s.from) >= addressLimit {
		clear(s.from)
	}
	c := answerFrom(control, s.v6)
	s.from[string(control)] = c
	return c
}

// answerFrom leaves the way to the routing table, unless the address has a
// meaning on one interface only.
func answerFrom(control []byte, v6 bool) []byte {
	if !v6 {
		var cm ipv4.ControlMessage
		if cm.Parse(control) != nil {
			return nil
		}
		return (&ipv4.ControlMessage{Src: cm.Dst}).Marshal()
	}
	var cm ipv6.ControlMessage
	if cm.Parse(control) != nil {
		return nil
	}
	out := ipv6.ControlMessage{Src: cm.Dst}
	if cm.Dst.IsLinkLocalUnicast() {
		out.IfIndex = cm.IfIndex
	}
	return out.Marshal()
}
