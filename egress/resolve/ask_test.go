package resolve

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

var (
	server1 = netip.MustParseAddrPort("192.0.2.1:53")
	server2 = netip.MustParseAddrPort("192.0.2.2:53")
)

// A fakeDNS is name servers in virtual time. A server is asked with the parsed
// query and returns messages to send, or an error for dial.
type fakeDNS struct {
	servers map[string]func(network string, h dnsmessage.Header, q dnsmessage.Question) (after time.Duration, answers [][]byte, err error)

	mu    sync.Mutex
	begun time.Time
	asked []string // "1s udp 192.0.2.1:53"
}

func (n *fakeDNS) dial(ctx context.Context, network, address string) (net.Conn, error) {
	n.mu.Lock()
	n.asked = append(n.asked, fmt.Sprintf("%v %s %s", time.Since(n.begun), network, address))
	n.mu.Unlock()
	serve := n.servers[address]
	if serve == nil {
		return nil, syscall.ENETUNREACH
	}
	here, there := net.Pipe()
	go func() {
		defer there.Close()
		buf := make([]byte, 600)
		size, err := there.Read(buf)
		if err != nil {
			return
		}
		msg := buf[:size]
		if network == "tcp" {
			msg = msg[2:]
		}
		var p dnsmessage.Parser
		h, err := p.Start(msg)
		if err != nil {
			panic(err)
		}
		q, err := p.Question()
		if err != nil {
			panic(err)
		}
		h.Response, h.RecursionAvailable = true, true
		after, answers, err := serve(network, h, q)
		time.Sleep(after)
		for _, a := range answers {
			if network == "tcp" {
				a = append(binary.BigEndian.AppendUint16(nil, uint16(len(a))), a...)
			}
			there.Write(a)
		}
		if err == nil {
			there.Read(buf) // until the other side closes
		}
	}()
	return here, nil
}

func (n *fakeDNS) asker(servers ...netip.AddrPort) *asker {
	n.begun = time.Now()
	return &asker{func() []netip.AddrPort { return servers }, n.dial}
}

// outcome is the first address, or how the relay would tell the error.
func outcome(f found) string {
	var dns *net.DNSError
	switch {
	case f.err == nil:
		return f.addrs[0].String()
	case errors.As(f.err, &dns) && dns.IsNotFound:
		return "not found"
	case dns != nil && dns.IsTimeout:
		return "timed out"
	}
	return "failed"
}

func TestAsk(t *testing.T) {
	type serve = func(network string, h dnsmessage.Header, q dnsmessage.Question) (time.Duration, [][]byte, error)
	name := func(q dnsmessage.Question) string { return strings.TrimSuffix(q.Name.String(), ".") }
	good := func(h dnsmessage.Header, q dnsmessage.Question) []byte {
		return message(h, name(q), q.Type, a("www.example", 60, four))
	}
	silent := serve(func(string, dnsmessage.Header, dnsmessage.Question) (time.Duration, [][]byte, error) {
		return 0, nil, nil
	})
	after := func(d time.Duration) serve {
		return func(_ string, h dnsmessage.Header, q dnsmessage.Question) (time.Duration, [][]byte, error) {
			return d, [][]byte{good(h, q)}, nil
		}
	}
	failing := serve(func(_ string, h dnsmessage.Header, q dnsmessage.Question) (time.Duration, [][]byte, error) {
		h.RCode = dnsmessage.RCodeServerFailure
		return 0, [][]byte{message(h, name(q), q.Type)}, nil
	})
	forged := serve(func(_ string, h dnsmessage.Header, q dnsmessage.Question) (time.Duration, [][]byte, error) {
		bad, other := h, q
		bad.ID++
		other.Name = dnsmessage.MustNewName("evil.example.")
		return 5 * time.Millisecond, [][]byte{{1, 2, 3}, message(bad, name(q), q.Type, a("www.example", 60, fourB)),
			message(h, name(other), q.Type, a("www.example", 60, fourB)), good(h, q)}, nil
	})
	truncating := serve(func(network string, h dnsmessage.Header, q dnsmessage.Question) (time.Duration, [][]byte, error) {
		if h.Truncated = network == "udp"; h.Truncated {
			return 0, [][]byte{message(h, name(q), q.Type)}, nil
		}
		many := []record{}
		for range 400 {
			many = append(many, a("www.example", 60, four))
		}
		return 0, [][]byte{message(h, name(q), q.Type, many...)}, nil
	})
	respelling := serve(func(_ string, h dnsmessage.Header, q dnsmessage.Question) (time.Duration, [][]byte, error) {
		return 0, [][]byte{message(h, "WWW.example", q.Type, a("www.example", 60, four))}, nil
	})
	hangingUp := serve(func(string, dnsmessage.Header, dnsmessage.Question) (time.Duration, [][]byte, error) {
		return 0, nil, syscall.ECONNREFUSED
	})
	for _, tt := range []struct {
		name     string
		one, two serve
		want     string // address, or reason
		took     time.Duration
		asked    string
		ttl      time.Duration
	}{
		{"first answers", after(time.Millisecond), nil, four, time.Millisecond, "0s udp 1", time.Minute},
		{"first is silent", silent, after(0), four, time.Second, "0s udp 1, 1s udp 2", time.Minute},
		{"first is slow", after(1500 * time.Millisecond), silent, four, 1500 * time.Millisecond, "0s udp 1, 1s udp 2", time.Minute},
		{"first is unreachable", nil, after(0), four, 0, "0s udp 1, 0s udp 2", time.Minute},
		{"first hangs up", hangingUp, after(0), four, 0, "0s udp 1, 0s udp 2", time.Minute},
		{"first fails", failing, after(0), four, 0, "0s udp 1, 0s udp 2", time.Minute},
		{"all fail", failing, failing, "failed", 0, "0s udp 1, 0s udp 2", time.Second},
		{"all are silent", silent, silent, "timed out", 8 * time.Second, "0s udp 1, 1s udp 2, 2s udp 1, 3s udp 2", 0},
		{"failure tells more than silence", silent, failing, "failed", 6 * time.Second, "0s udp 1, 1s udp 2, 1s udp 1", time.Second},
		{"forgeries", forged, nil, four, 5 * time.Millisecond, "0s udp 1", time.Minute},
		{"truncated", truncating, nil, four, 0, "0s udp 1, 0s tcp 1", time.Minute},
		{"spelling lost", respelling, nil, four, 0, "0s udp 1, 0s tcp 1", time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := &fakeDNS{servers: map[string]serve{}}
				for s, f := range map[netip.AddrPort]serve{server1: tt.one, server2: tt.two} {
					if f != nil {
						n.servers[s.String()] = f
					}
				}
				f := n.asker(server1, server2).ask(t.Context(), question{name: "www.example"})
				got := outcome(f)
				if got != tt.want || f.ttl != tt.ttl {
					t.Errorf("got %s (%v) for %v, want %s for %v", got, f.err, f.ttl, tt.want, tt.ttl)
				}
				if took := time.Since(n.begun); took != tt.took {
					t.Errorf("took %v, want %v", took, tt.took)
				}
				asked := strings.NewReplacer("192.0.2.", "", ":53", "").Replace(strings.Join(n.asked, ", "))
				if asked != tt.asked {
					t.Errorf("asked %s, want %s", asked, tt.asked)
				}
			})
		})
	}
}

// One server that is silent is asked three times, and gives up before the
// client does.
func TestAskOneSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &fakeDNS{}
		n.servers = map[string]func(string, dnsmessage.Header, dnsmessage.Question) (time.Duration, [][]byte, error){
			server1.String(): func(string, dnsmessage.Header, dnsmessage.Question) (time.Duration, [][]byte, error) {
				return 0, nil, nil
			}}
		f := n.asker(server1).ask(t.Context(), question{name: "www.example"})
		if took := time.Since(n.begun); outcome(f) != "timed out" || took != 7*time.Second || len(n.asked) != 3 {
			t.Errorf("%v after %v, asked %q", f.err, took, n.asked)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		begun := time.Now()
		if f = n.asker(server1).ask(ctx, question{name: "www.example"}); f.err == nil || time.Since(begun) != 300*time.Millisecond {
			t.Errorf("%v after %v", f.err, time.Since(begun))
		}
	})
}

// Against real sockets: ids, ports and spellings differ from query to query, a
// closed port is heard of at once, and a long answer comes by TCP.
func TestAskLoopback(t *testing.T) {
	pc, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := pc.LocalAddr().(*net.UDPAddr).AddrPort()
	ln, err := net.Listen("tcp4", at.String())
	if err != nil {
		t.Skip("port taken for TCP: ", err)
	}
	defer ln.Close()
	var ids, ports, names []string
	reply := func(query []byte, truncated bool) []byte {
		var p dnsmessage.Parser
		h, _ := p.Start(query)
		q, _ := p.Question()
		h.Response, h.RecursionAvailable, h.Truncated = true, true, truncated
		ids, names = append(ids, fmt.Sprint(h.ID)), append(names, q.Name.String())
		return message(h, strings.TrimSuffix(q.Name.String(), "."), q.Type, a("a-long-name-with-many-letters.example", 60, four))
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		for buf := make([]byte, 512); ; {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			ports = append(ports, from.String())
			pc.WriteTo(reply(buf[:n], len(ports) == 1), from)
			if len(ports) != 1 {
				continue
			}
			c, err := ln.Accept()
			if err != nil {
				return
			}
			msg, _ := readMessage(c, buf)
			b := reply(msg, false)
			c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...))
			c.Close()
		}
	}()
	var d net.Dialer
	k := &asker{func() []netip.AddrPort { return []netip.AddrPort{at} }, d.DialContext}
	for range 5 {
		if f := k.ask(t.Context(), question{name: "a-long-name-with-many-letters.example"}); f.err != nil || f.addrs[0].String() != four {
			t.Fatal(f)
		}
	}
	pc.Close()
	<-served
	for what, all := range map[string][]string{"ids": ids[1:], "ports": ports, "spellings": names} {
		if what == "ids" {
			all = slices.Concat(ids[:1], ids[2:]) // by TCP it is the same
		}
		slices.Sort(all)
		if n := len(slices.Compact(all)); n < 4 {
			t.Errorf("%d different %s in 5 queries", n, what)
		}
	}
	begun := time.Now()
	f := k.ask(t.Context(), question{name: "www.example"})
	if !errors.Is(f.err, syscall.ECONNREFUSED) || outcome(f) != "failed" || time.Since(begun) > time.Second/2 {
		t.Errorf("closed port: %v after %v", f.err, time.Since(begun))
	}
}
