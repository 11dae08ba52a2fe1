package resolve

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// A record is one of a fake answer: "owner A 1.2.3.4", "owner CNAME target".
type record struct {
	owner string
	ttl   uint32
	body  dnsmessage.ResourceBody
}

func a(owner string, ttl uint32, ip string) record {
	addr := netip.MustParseAddr(ip)
	if addr.Is4() {
		return record{owner, ttl, &dnsmessage.AResource{A: addr.As4()}}
	}
	return record{owner, ttl, &dnsmessage.AAAAResource{AAAA: addr.As16()}}
}

func cname(owner string, ttl uint32, target string) record {
	return record{owner, ttl, &dnsmessage.CNAMEResource{CNAME: dnsmessage.MustNewName(target + ".")}}
}

func soa(ttl, minimum uint32) record {
	return record{"example", ttl, &dnsmessage.SOAResource{
		NS: dnsmessage.MustNewName("ns.example."), MBox: dnsmessage.MustNewName("who.example."), MinTTL: minimum}}
}

// message builds an answer. Records of type SOA go to the authority section.
func message(h dnsmessage.Header, asked string, kind dnsmessage.Type, records ...record) []byte {
	m := dnsmessage.Message{Header: h, Questions: []dnsmessage.Question{{
		Name: dnsmessage.MustNewName(asked + "."), Type: kind, Class: dnsmessage.ClassINET}}}
	for _, r := range records {
		res := dnsmessage.Resource{Header: dnsmessage.ResourceHeader{
			Name: dnsmessage.MustNewName(r.owner + "."), Class: dnsmessage.ClassINET, TTL: r.ttl}, Body: r.body}
		if _, is := r.body.(*dnsmessage.SOAResource); is {
			m.Authorities = append(m.Authorities, res)
		} else {
			m.Answers = append(m.Answers, res)
		}
	}
	b, err := m.Pack()
	if err != nil {
		panic(err)
	}
	return b
}

func TestReadAnswer(t *testing.T) {
	const n = "www.example"
	ok := dnsmessage.Header{ID: 7, Response: true, RecursionAvailable: true}
	with := func(change func(*dnsmessage.Header)) dnsmessage.Header { h := ok; change(&h); return h }
	rcode := func(c dnsmessage.RCode) dnsmessage.Header { return with(func(h *dnsmessage.Header) { h.RCode = c }) }
	const typeA, typeAAAA = dnsmessage.TypeA, dnsmessage.TypeAAAA
	none := errors.New("not found")
	for _, tt := range []struct {
		name string
		msg  []byte
		want []string
		ttl  time.Duration
		err  error
	}{
		{"addresses", message(ok, "wWw.example", typeA, a(n, 60, four), a("WWW.EXAMPLE", 30, fourB)), []string{four, fourB}, 30 * time.Second, nil},
		{"aliases in any order", message(ok, "wWw.example", typeA, a("c.example", 600, four), cname("b.example", 20, "C.example"), cname(n, 50, "b.example")),
			[]string{four}, 20 * time.Second, nil},
		{"address of another name", message(ok, "wWw.example", typeA, a("evil.example", 60, fourB), a(n, 60, four)), []string{four}, time.Minute, nil},
		{"address beyond the chain", message(ok, "wWw.example", typeA, cname(n, 9, "b.example"), a(n, 60, fourB), a("b.example", 60, four)), []string{four}, 9 * time.Second, nil},
		{"address of the other family", message(ok, "wWw.example", typeA, a(n, 60, six), soa(5, 5)), nil, 5 * time.Second, none},
		{"a day", message(ok, "wWw.example", typeA, a(n, 86400, four)), []string{four}, time.Hour, nil},
		{"TTL below zero", message(ok, "wWw.example", typeA, a(n, 1<<31, four)), []string{four}, 0, nil},
		{"alias in a circle", message(ok, "wWw.example", typeA, cname(n, 60, "b.example"), cname("b.example", 60, n)), nil, 0, none},
		{"no such name", message(rcode(3), "wWw.example", typeA, soa(900, 40)), nil, 40 * time.Second, none},
		{"no such name for a day", message(rcode(3), "wWw.example", typeA, soa(86400, 86400)), nil, 5 * time.Minute, none},
		{"no such name, SOA expires", message(rcode(3), "wWw.example", typeA, soa(3, 40)), nil, 3 * time.Second, none},
		{"no such name, no SOA", message(rcode(3), "wWw.example", typeA), nil, 0, none},
		{"no address", message(ok, "wWw.example", typeA), nil, 0, none},
		{"alias of no such name", message(rcode(3), "wWw.example", typeA, cname(n, 60, "b.example"), soa(9, 9)), nil, 9 * time.Second, none},

		{"referral", message(with(func(h *dnsmessage.Header) { h.RecursionAvailable = false }), "wWw.example", typeA), nil, 0, errServer},
		{"server failure", message(rcode(2), "wWw.example", typeA), nil, 0, errServer},
		{"refused", message(rcode(5), "wWw.example", typeA), nil, 0, errServer},
		{"truncated", message(with(func(h *dnsmessage.Header) { h.Truncated = true }), "wWw.example", typeA, a(n, 60, four)), nil, 0, errTruncated},
		{"spelling", message(ok, n, typeA, a(n, 60, four)), nil, 0, errSpelling},
		{"id", message(with(func(h *dnsmessage.Header) { h.ID = 8 }), "wWw.example", typeA, a(n, 60, four)), nil, 0, errNotOurs},
		{"a query", message(with(func(h *dnsmessage.Header) { h.Response = false }), "wWw.example", typeA), nil, 0, errNotOurs},
		{"another name", message(ok, "wWw.example.com", typeA, a(n, 60, four)), nil, 0, errNotOurs},
		{"another type", message(ok, "wWw.example", typeAAAA, a(n, 60, six)), nil, 0, errNotOurs},
		{"half a header", []byte{0, 7, 0x80}, nil, 0, errNotOurs},
		{"half a record", message(ok, "wWw.example", typeA, a(n, 60, four))[:48], nil, 0, errServer},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f, err := readAnswer(tt.msg, question{name: n}, 7, "wWw.example")
			if tt.err == none {
				if !notFound(f.err) || err != nil {
					t.Fatalf("got %v, %v, want no such host", f.err, err)
				}
			} else if !errors.Is(err, tt.err) {
				t.Fatalf("error %v, want %v", err, tt.err)
			}
			var got []string
			for _, ip := range f.addrs {
				got = append(got, ip.String())
			}
			if strings.Join(got, " ") != strings.Join(tt.want, " ") || f.ttl != tt.ttl {
				t.Errorf("got %v for %v, want %v for %v", got, f.ttl, tt.want, tt.ttl)
			}
		})
	}
	many := []record{}
	for range 100 {
		many = append(many, a(n, 60, six))
	}
	f, err := readAnswer(message(ok, "wWw.example", typeAAAA, many...), question{n, true}, 7, "wWw.example")
	if err != nil || len(f.addrs) != maxAddrs {
		t.Errorf("%d addresses, %v, want %d", len(f.addrs), err, maxAddrs)
	}
}

func TestQuery(t *testing.T) {
	b, err := appendQuery(nil, question{"www.example", true}, 0x1234, "wWw.example")
	want := "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03wWw\x07example\x00\x00\x1c\x00\x01"
	if err != nil || string(b) != want {
		t.Errorf("query %q, %v, want %q", b, err, want)
	}
	if s := respell("a-b.example", []byte{0b1001, 0xff}); s != "A-b.examPLE" {
		t.Errorf("respelled %s", s)
	}
}

func TestCanonical(t *testing.T) {
	long := strings.Repeat("a", 63)
	for host, want := range map[string]string{
		"WWW.Example.": "www.example", "a_b.example": "a_b.example", "xn--bcher-kva.example": "xn--bcher-kva.example", "printer": "printer",
		long: long, long + "." + long + "." + long + "." + long[:61]: long + "." + long + "." + long + "." + long[:61],
		"": "", ".": "", "a..b": "", ".a": "", "a.b..": "", "-a.example": "", "a-.example": "", "127.1": "", "bücher.example": "",
		long + "a": "", long + "." + long + "." + long + "." + long[:62]: "", "a b": "", "a\x00b": "", "x.onion": "", "\u212aelvin": "",
	} {
		if got, ok := canonical(host); ok != (want != "") || ok && got != want {
			t.Errorf("%q is %q, %v, want %q", host, got, ok, want)
		}
	}
}

func FuzzReadAnswer(f *testing.F) {
	ok := dnsmessage.Header{ID: 7, Response: true, RecursionAvailable: true}
	f.Add(message(ok, "www.example", dnsmessage.TypeA, cname("www.example", 50, "b.example"), a("b.example", 60, four)))
	f.Add(message(ok, "www.example", dnsmessage.TypeA, soa(900, 40)))
	f.Add(message(ok, "www.example", dnsmessage.TypeAAAA, a("www.example", 60, six)))
	f.Fuzz(func(t *testing.T, msg []byte) {
		for _, q := range []question{{"www.example", false}, {"www.example", true}} {
			got, err := readAnswer(msg, q, 7, "www.example")
			switch {
			case len(got.addrs) > maxAddrs || got.ttl < 0 || got.ttl > maxPositive:
				t.Errorf("%d addresses for %v", len(got.addrs), got.ttl)
			case err == nil && (len(got.addrs) > 0) == (got.err != nil):
				t.Errorf("addresses %v with error %v", got.addrs, got.err)
			case err != nil && len(got.addrs) > 0:
				t.Errorf("addresses %v with verdict %v", got.addrs, err)
			}
			for _, ip := range got.addrs {
				if ip.Is6() != q.v6 {
					t.Errorf("%v for %v", ip, q)
				}
			}
		}
	})
}
