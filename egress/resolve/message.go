package resolve

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// Chosen by us, so that an answer costs little memory and little time. A race
// tries at most ten addresses; a chain of aliases is rarely longer than five.
const (
	maxAddrs   = 16
	maxAliases = 16
)

// Chosen by us. An hour is what common resolvers on a host hold an answer for at
// most; RFC 2308 section 5 leaves the cap for negative answers to us, and a
// person who has just made a name does not want to wait longer. RFC 9520 section
// 3.2 asks for a second or more for failures.
const (
	maxPositive = time.Hour
	maxNegative = 5 * time.Minute
	failureFor  = time.Second
)

// A question is a name, in lower case without final dot, and which addresses of
// it are asked for.
type question struct {
	name string
	v6   bool
}

func (q question) kind() dnsmessage.Type {
	if q.v6 {
		return dnsmessage.TypeAAAA
	}
	return dnsmessage.TypeA
}

// A found is what became of a question, and for how long that may be believed.
type found struct {
	addrs []netip.Addr
	err   error
	ttl   time.Duration
}

func notThere(q question) error {
	return &net.DNSError{Err: "no such host", Name: q.name, IsNotFound: true}
}

// Verdicts on a message that holds no answer.
var (
	errNotOurs   = errors.New("not an answer to this question")
	errSpelling  = errors.New("answer spells the name in another way")
	errTruncated = errors.New("answer is truncated")
	errServer    = errors.New("server misbehaving")
)

// canonical returns a host name as a question has it. It reports false for names
// that no host has (RFC 1123 section 2.1, and the underscore that people use),
// which are not to be asked for: DNS would take any bytes.
func canonical(host string) (string, bool) {
	name := lower(strings.TrimSuffix(host, "."))
	if name == "" || len(name) > 253 || strings.HasSuffix(name, ".onion") { // RFC 7686 section 2
		return "", false
	}
	digits := true
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return "", false
		}
		for i := range len(label) {
			switch c := label[i]; {
			case 'a' <= c && c <= 'z', c == '-', c == '_':
				digits = false
			case '0' <= c && c <= '9':
			default:
				return "", false
			}
		}
	}
	return name, !digits
}

// lower is for names of DNS, where only ASCII has case (RFC 4343).
func lower(s string) string {
	for i := range len(s) {
		if 'A' <= s[i] && s[i] <= 'Z' {
			b := []byte(s)
			for j := i; j < len(b); j++ {
				if 'A' <= b[j] && b[j] <= 'Z' {
					b[j] += 'a' - 'A'
				}
			}
			return string(b)
		}
	}
	return s
}

// respell gives each letter the case that the next bit of random says, so that
// who forges an answer has to guess that too (the "0x20" of
// draft-vixie-dnsext-dns0x20).
func respell(name string, random []byte) string {
	b := []byte(name)
	for i, c := range b {
		if 'a' <= c && c <= 'z' && random[i/8%len(random)]>>(i%8)&1 == 1 {
			b[i] -= 'a' - 'A'
		}
	}
	return string(b)
}

// appendQuery appends the query for q, which spells its name in this way.
// There is no EDNS in it: addresses nearly always fit 512 bytes, and what does
// not comes by TCP.
func appendQuery(b []byte, q question, id uint16, spelled string) ([]byte, error) {
	name, err := dnsmessage.NewName(spelled + ".")
	if err != nil {
		return nil, fmt.Errorf("ask for %s: %w", q.name, err)
	}
	m := dnsmessage.NewBuilder(b, dnsmessage.Header{ID: id, RecursionDesired: true})
	if err := m.StartQuestions(); err != nil {
		return nil, err
	}
	if err := m.Question(dnsmessage.Question{Name: name, Type: q.kind(), Class: dnsmessage.ClassINET}); err != nil {
		return nil, err
	}
	return m.Finish()
}

// readAnswer reads the answer to a query, which must spell the name in that way
// unless spelled is "". A message that cannot be an answer to it is errNotOurs:
// the true one may still come. Found.err is nil or says that there is no such
// host.
func readAnswer(msg []byte, q question, id uint16, spelled string) (found, error) {
	var p dnsmessage.Parser
	h, err := p.Start(msg)
	if err != nil || !h.Response || h.ID != id || h.OpCode != 0 {
		return found{}, errNotOurs
	}
	asked, err := p.Question()
	if err != nil || asked.Type != q.kind() || asked.Class != dnsmessage.ClassINET || plain(asked.Name) != q.name {
		return found{}, errNotOurs
	}
	if err := p.SkipAllQuestions(); err != nil {
		return found{}, errNotOurs
	}
	switch {
	case spelled != "" && asked.Name.String() != spelled+".":
		return found{}, errSpelling
	case h.Truncated:
		return found{}, errTruncated
	case h.RCode != dnsmessage.RCodeSuccess && h.RCode != dnsmessage.RCodeNameError:
		return found{}, fmt.Errorf("%w: %v", errServer, h.RCode)
	}
	f, err := readAddrs(&p, q)
	if err != nil {
		return found{}, fmt.Errorf("%w: %w", errServer, err)
	}
	if len(f.addrs) > 0 && h.RCode == dnsmessage.RCodeSuccess {
		return f, nil
	}
	ttl, ok, err := readNegative(&p)
	switch {
	case err != nil:
		return found{}, fmt.Errorf("%w: %w", errServer, err)
	case h.RCode == dnsmessage.RCodeSuccess && !ok && !h.Authoritative && !h.RecursionAvailable:
		return found{}, fmt.Errorf("%w: it only refers to others", errServer)
	}
	return found{err: notThere(q), ttl: ttl}, nil
}

func plain(n dnsmessage.Name) string { return lower(strings.TrimSuffix(n.String(), ".")) }

// readAddrs reads the answer section and follows the aliases in it, in whatever
// order they stand. Addresses of names that the chain does not lead to are none.
func readAddrs(p *dnsmessage.Parser, q question) (found, error) {
	type target struct {
		name string
		ttl  time.Duration
	}
	aliases := map[string]target{}
	addrs := map[string]found{}
	for {
		h, err := p.AnswerHeader()
		if errors.Is(err, dnsmessage.ErrSectionDone) {
			break
		}
		if err != nil {
			return found{}, err
		}
		switch {
		case h.Class == dnsmessage.ClassINET && h.Type == dnsmessage.TypeCNAME:
			r, err := p.CNAMEResource()
			if err != nil {
				return found{}, err
			}
			aliases[plain(h.Name)] = target{plain(r.CNAME), seconds(h.TTL)}
		case h.Class == dnsmessage.ClassINET && h.Type == q.kind():
			ip, err := readAddr(p, h.Type)
			if err != nil {
				return found{}, err
			}
			f, more := addrs[plain(h.Name)]
			if ttl := seconds(h.TTL); !more || ttl < f.ttl {
				f.ttl = ttl
			}
			if len(f.addrs) < maxAddrs {
				f.addrs = append(f.addrs, ip)
			}
			addrs[plain(h.Name)] = f
		default:
			if err := p.SkipAnswer(); err != nil {
				return found{}, err
			}
		}
	}
	name, ttl := q.name, maxPositive
	for range maxAliases {
		alias, ok := aliases[name]
		if !ok {
			break
		}
		name, ttl = alias.name, min(ttl, alias.ttl)
	}
	f := addrs[name]
	f.ttl = min(ttl, f.ttl)
	return f, nil
}

func readAddr(p *dnsmessage.Parser, t dnsmessage.Type) (netip.Addr, error) {
	if t == dnsmessage.TypeA {
		r, err := p.AResource()
		return netip.AddrFrom4(r.A), err
	}
	r, err := p.AAAAResource()
	return netip.AddrFrom16(r.AAAA), err
}

// readNegative returns for how long a name may be believed not to be there: what
// the SOA record says in the authority section (RFC 2308 section 5). Without one
// it may not be believed at all, and ok is false.
func readNegative(p *dnsmessage.Parser) (ttl time.Duration, ok bool, err error) {
	for {
		h, err := p.AuthorityHeader()
		switch {
		case errors.Is(err, dnsmessage.ErrSectionDone):
			return 0, false, nil
		case err != nil:
			return 0, false, err
		case h.Type != dnsmessage.TypeSOA:
			if err := p.SkipAuthority(); err != nil {
				return 0, false, err
			}
			continue
		}
		r, err := p.SOAResource()
		return min(seconds(h.TTL), seconds(r.MinTTL), maxNegative), err == nil, err
	}
}

// seconds reads a TTL; one with the top bit set is 0 (RFC 2181 section 8).
func seconds(ttl uint32) time.Duration {
	if ttl >= 1<<31 {
		return 0
	}
	return time.Duration(ttl) * time.Second
}
