package relay

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"tributary/account"
	"tributary/proto/probe"
)

// A probing gateway: its socket and key.
type probing struct {
	*net.UDPConn
	*probe.Key
}

func newProbing(t testing.TB, to netip.AddrPort, a account.Account) probing {
	t.Helper()
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return probing{c, probe.NewKey(a.Secret.Key())}
}

// ask sends a datagram and returns the echo, which a connected socket takes only
// from the address it asked.
func (p probing) ask(t *testing.T, datagram []byte, wait time.Duration) (probe.Echo, error) {
	t.Helper()
	if _, err := p.Write(datagram); err != nil {
		t.Fatal(err)
	}
	p.SetReadDeadline(time.Now().Add(wait))
	b := make([]byte, 100)
	n, err := p.Read(b)
	if err != nil {
		return probe.Echo{}, err
	}
	return p.ReadEcho(b[:n])
}

// The answer comes from the address that was asked, of which loopback has many.
func TestProbeAnswered(t *testing.T) {
	for _, listen := range []string{":0", "0.0.0.0:0", "[::]:0", "127.0.0.3:0", "[::1]:0"} {
		t.Run(listen, func(t *testing.T) {
			r := newTestRelay(t, func(c *Config) {
				c.Listen, _ = netip.ParseAddrPort(listen)
				c.Also = []uint16{0}
			})
			defer r.probes.start()()
			port, also := r.ports()[0], r.ports()[1]
			answered := 0
			for i, host := range []string{"127.0.0.1", "127.0.0.2", "127.0.0.3", "::1"} {
				if i == 1 {
					port, also = also, port // both answer
				}
				p := newProbing(t, netip.AddrPortFrom(netip.MustParseAddr(host), port), r.account)
				b := p.AppendRequest(nil, probe.Request{Sequence: 7, Time: 8})
				e, err := p.ask(t, b, 2*time.Second)
				if err != nil {
					continue
				}
				answered++
				if want := (probe.Echo{Request: probe.Request{Sequence: 7, Time: 8}, Instance: r.flows.instance}); e != want {
					t.Errorf("%s: %v, want %v", host, e, want)
				}
			}
			want := map[string]int{":0": 4, "[::]:0": 4, "0.0.0.0:0": 3}[listen]
			if want == 0 {
				want = 1
			}
			if answered != want {
				t.Errorf("%d addresses answered, want %d\n%s", answered, want, r.log.String())
			}
		})
	}
}

// Strangers hear nothing, and an account that was removed is one.
func TestProbeSilence(t *testing.T) {
	r := newTestRelay(t, nil)
	p := newProbing(t, r.Addr(), r.account)
	good := p.AppendRequest(nil, probe.Request{Sequence: 1})
	wrong := append([]byte(nil), good...)
	wrong[probe.Size-1]++
	stranger := probe.NewKey([16]byte{1}).AppendRequest(nil, probe.Request{})
	for name, b := range map[string][]byte{
		"empty": {}, "short": good[:probe.Size-1], "long": append(good[:probe.Size:probe.Size], 0),
		"wrong MAC": wrong, "stranger": stranger, "echo": p.AppendEcho(nil, probe.Echo{}),
	} {
		if out, ok := r.probes.answer(nil, b, time.Now()); ok {
			t.Errorf("%s: answered with %x", name, out)
		}
	}
	if _, ok := r.probes.answer(nil, good, time.Now()); !ok {
		t.Error("no answer to an account")
	}
	if err := r.config.Accounts.Remove(r.account.Name); err != nil {
		t.Fatal(err)
	}
	if _, ok := r.probes.answer(nil, good, time.Now()); ok {
		t.Error("a removed account is answered")
	}
}

func TestProbeRate(t *testing.T) {
	r := newTestRelay(t, nil)
	k := probe.NewKey(r.account.Secret.Key())
	b := k.AppendRequest(nil, probe.Request{})
	stranger := append([]byte(nil), b...)
	stranger[probe.Size-1]++
	now, answered := time.Now(), 0
	const seconds = 3
	for i := range seconds * 10_000 {
		at := now.Add(time.Duration(i) * 100 * time.Microsecond)
		r.probes.answer(nil, stranger, at)
		if _, ok := r.probes.answer(nil, b, at); ok {
			answered++
		}
	}
	if most := int((seconds + probeBurst) * probesPerAccount); answered > most || answered < most*98/100 {
		t.Errorf("%d of 10,000 a second were answered in %d s, want %d", answered, seconds, most)
	}
}

// A port that another program has is a warning.
func TestProbePortTaken(t *testing.T) {
	at, l := halfTaken(t)
	defer l.Close()
	r := newTestRelay(t, func(c *Config) { c.Listen = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), at.Port()) })
	if !strings.Contains(r.log.String(), "cannot probe") || len(r.probes.sockets) != 0 {
		t.Errorf("no warning:\n%s", r.log.String())
	}
	defer r.probes.start()()
}

// halfTaken returns a port that is free for TCP, and taken for UDP.
func halfTaken(t *testing.T) (netip.AddrPort, net.PacketConn) {
	t.Helper()
	for range 100 {
		free, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		taken, err := net.ListenPacket("udp4", free.Addr().String())
		free.Close()
		if err == nil {
			return free.Addr().(*net.TCPAddr).AddrPort(), taken
		}
	}
	t.Fatal("no such port")
	return netip.AddrPort{}, nil
}

// It answers while the relay serves, and not longer.
func TestProbeEndsWithRelay(t *testing.T) {
	r := newTestRelay(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- r.Serve(ctx) }()
	p := newProbing(t, r.Addr(), r.account)
	b := p.AppendRequest(nil, probe.Request{})
	if _, err := p.ask(t, b, 5*time.Second); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-served; err != nil {
		t.Fatal(err)
	}
	if _, err := p.ask(t, b, 100*time.Millisecond); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the socket is still there: %v", err)
	}
}

// answering returns a function that has one probe go over loopback and back.
func answering(t testing.TB) func() {
	dir := t.TempDir()
	accounts, err := account.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	a, _ := accounts.Get(account.Default)
	p := newProbes(Config{Accounts: accounts, Listen: netip.MustParseAddrPort("0.0.0.0:0")}, []uint16{0}, 1)
	if len(p.sockets) != 1 {
		t.Fatal("no socket")
	}
	s := p.sockets[0]
	c := newProbing(t, netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), s.conn.LocalAddr().(*net.UDPAddr).AddrPort().Port()), a)
	t.Cleanup(func() { s.conn.Close() })
	request := c.AppendRequest(nil, probe.Request{Sequence: 1})
	in, out, control, back := make([]byte, probe.Size+1), make([]byte, 0, probe.Size), make([]byte, 128), make([]byte, 100)
	return func() {
		if h := p.holders[probe.IDOf(a.Secret.Key())]; h != nil {
			h.bucket, p.total = bucket{}, bucket{}
		}
		c.Write(request)
		if err := s.once(p, in, out, control); err != nil {
			t.Fatal(err)
		}
		if n, err := c.Read(back); n != probe.Size || err != nil {
			t.Fatal(n, err)
		}
	}
}

func TestProbeAllocatesNothing(t *testing.T) {
	once := answering(t)
	if n := testing.AllocsPerRun(200, once); n >= 1 {
		t.Errorf("%v allocations per probe", n)
	}
}

func BenchmarkProbe(b *testing.B) {
	once := answering(b)
	b.ReportAllocs()
	for b.Loop() {
		once()
	}
}
