package lab

import (
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/net/dns/dnsmessage"
)

// dnsTTL is what the answers may be cached for, in seconds: not at all, since a
// test may ask twice. The names of sites may be for as long as a browser works on
// one page, but not until its next load, unless a name server is told otherwise.
const (
	dnsTTL  = 0
	siteTTL = 2
)

// A zone is what the DNS server knows, by lower-case name without final dot.
type zone map[string][]netip.Addr

// answer returns the answer to a DNS query (RFC 1035): addresses for A and AAAA,
// an empty answer for other types, NXDOMAIN for unknown names, SERVFAIL for
// names without addresses. Those of sites have a TTL of their own, in seconds.
func (z zone) answer(query []byte, siteTTL uint32) ([]byte, error) {
	var p dnsmessage.Parser
	h, err := p.Start(query)
	if err != nil {
		return nil, fmt.Errorf("read a DNS query: %w", err)
	}
	q, err := p.Question()
	if err != nil {
		return nil, fmt.Errorf("read a DNS query: %w", err)
	}
	addrs, known := z[nameIn(q)]
	reply := dnsmessage.Header{
		ID: h.ID, Response: true, Authoritative: true,
		RecursionDesired: h.RecursionDesired, RecursionAvailable: true,
	}
	switch {
	case !known:
		reply.RCode = dnsmessage.RCodeNameError
	case len(addrs) == 0:
		reply.RCode = dnsmessage.RCodeServerFailure
	}
	b := dnsmessage.NewBuilder(nil, reply)
	b.EnableCompression()
	if err := b.StartQuestions(); err != nil {
		return nil, err
	}
	if err := b.Question(q); err != nil {
		return nil, err
	}
	if err := b.StartAnswers(); err != nil {
		return nil, err
	}
	found, site := false, false
	for _, a := range addrs {
		rh := dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET, TTL: dnsTTL}
		if isSite(a) {
			rh.TTL, site = siteTTL, true
		}
		switch {
		case a.Is4() && q.Type == dnsmessage.TypeA:
			found, err = true, b.AResource(rh, dnsmessage.AResource{A: a.As4()})
		case a.Is6() && q.Type == dnsmessage.TypeAAAA:
			found, err = true, b.AAAAResource(rh, dnsmessage.AAAAResource{AAAA: a.As16()})
		}
		if err != nil {
			return nil, err
		}
	}
	if site && !found {
		// What there is not may be believed for as long (RFC 2308 section 3).
		if err := b.StartAuthorities(); err != nil {
			return nil, err
		}
		rh := dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET, TTL: siteTTL}
		if err := b.SOAResource(rh, dnsmessage.SOAResource{NS: q.Name, MBox: q.Name, MinTTL: siteTTL}); err != nil {
			return nil, err
		}
	}
	return b.Finish()
}

func nameIn(q dnsmessage.Question) string {
	return strings.ToLower(strings.TrimSuffix(q.Name.String(), "."))
}

// A nameServer answers from a zone and keeps a book of what it was asked for.
type nameServer struct {
	zone    zone
	siteTTL atomic.Uint32
	mu      sync.Mutex
	asked   map[string]int
}

func newNameServer(z zone) *nameServer {
	s := &nameServer{zone: z, asked: make(map[string]int)}
	s.siteTTL.Store(siteTTL)
	return s
}

// taken returns how often each name was asked for since the last call.
func (s *nameServer) taken() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := maps.Clone(s.asked)
	clear(s.asked)
	return asked
}

// maxAsked bounds the book: whoever asks for more names has been noticed.
const maxAsked = 1000

func (s *nameServer) answer(query []byte) ([]byte, error) {
	var p dnsmessage.Parser
	if _, err := p.Start(query); err == nil {
		if q, err := p.Question(); err == nil {
			s.mu.Lock()
			if len(s.asked) < maxAsked {
				s.asked[nameIn(q)]++
			}
			s.mu.Unlock()
		}
	}
	return s.zone.answer(query, s.siteTTL.Load())
}

// servePacket answers queries by UDP until c is closed.
func (s *nameServer) servePacket(c net.PacketConn) {
	buf := make([]byte, mtu)
	for {
		n, from, err := c.ReadFrom(buf)
		if err != nil {
			return
		}
		if reply, err := s.answer(buf[:n]); err == nil {
			c.WriteTo(reply, from)
		}
	}
}

// serveConn answers queries by TCP, each with its length in front (RFC 1035
// section 4.2.2), until the peer closes.
func (s *nameServer) serveConn(c net.Conn) {
	for {
		var length [2]byte
		if _, err := io.ReadFull(c, length[:]); err != nil {
			return
		}
		query := make([]byte, binary.BigEndian.Uint16(length[:]))
		if _, err := io.ReadFull(c, query); err != nil {
			return
		}
		reply, err := s.answer(query)
		if err != nil {
			return
		}
		if _, err := c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(reply))), reply...)); err != nil {
			return
		}
	}
}
