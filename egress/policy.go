package egress

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// A rule is a range of addresses that a relay must not reach for its accounts,
// and why. Standing rules hold also with [Config.AllowPrivate].
type rule struct {
	prefix   netip.Prefix
	standing bool
	why      string
}

// rules are all ranges that are not hosts on the Internet: the IANA special
// purpose registries (RFC 6890 and its successors) as far as they are not
// globally reachable. Documentation and benchmarking ranges are among them: no
// public host has one, so whoever answers there is inside the operator's network,
// and people do build laboratories on them. For the same reason AllowPrivate
// opens them.
var rules = [...]rule{
	{pfx("0.0.0.0/8"), true, "this network, RFC 1122"}, // Linux takes 0.0.0.0 for the host itself
	{pfx("10.0.0.0/8"), false, "private, RFC 1918"},
	{pfx("100.64.0.0/10"), false, "carrier-grade NAT, RFC 6598"}, // overlay networks number their hosts from it
	{pfx("127.0.0.0/8"), false, "loopback, RFC 1122"},
	{pfx("169.254.0.0/16"), false, "link-local, RFC 3927"}, // cloud metadata at 169.254.169.254
	{pfx("172.16.0.0/12"), false, "private, RFC 1918"},
	{pfx("192.0.0.0/24"), false, "protocol assignments, RFC 6890"}, // cloud metadata at 192.0.0.192
	{pfx("192.0.2.0/24"), false, "documentation, RFC 5737"},
	{pfx("192.168.0.0/16"), false, "private, RFC 1918"},
	{pfx("198.18.0.0/15"), false, "benchmarking, RFC 2544"},
	{pfx("198.51.100.0/24"), false, "documentation, RFC 5737"},
	{pfx("203.0.113.0/24"), false, "documentation, RFC 5737"},
	{pfx("224.0.0.0/4"), true, "multicast, RFC 5771"},
	{pfx("255.255.255.255/32"), true, "broadcast, RFC 919"},
	{pfx("240.0.0.0/4"), true, "reserved, RFC 1112"},

	{pfx("::/128"), true, "unspecified, RFC 4291"}, // Linux takes it for the host itself
	{pfx("::1/128"), false, "loopback, RFC 4291"},
	{pfx("64:ff9b:1::/48"), false, "local translation to IPv4, RFC 8215"}, // its operator decides where the IPv4 address stands in it
	{pfx("100::/64"), true, "discard-only, RFC 6666"},
	{pfx("2001:2::/48"), false, "benchmarking, RFC 5180"},
	{pfx("2001:10::/28"), true, "ORCHID, RFC 4843"},
	{pfx("2001:20::/28"), true, "ORCHIDv2, RFC 7343"},
	{pfx("2001:db8::/32"), false, "documentation, RFC 3849"},
	{pfx("3fff::/20"), false, "documentation, RFC 9637"},
	{pfx("5f00::/16"), false, "segment routing, RFC 9602"},
	{pfx("fc00::/7"), false, "private, RFC 4193"}, // cloud metadata at fd00:ec2::254
	{pfx("fe80::/10"), false, "link-local, RFC 4291"},
	{pfx("fec0::/10"), false, "site-local, RFC 3879"},
	{pfx("ff00::/8"), true, "multicast, RFC 4291"},
}

func pfx(s string) netip.Prefix { return netip.MustParsePrefix(s) }

// An embedding is a range of IPv6 addresses that lead to an IPv4 host, and where
// in the 16 bytes its address stands.
type embedding struct {
	prefix netip.Prefix
	at     int
	flip   byte // each byte is XORed with it
	what   string
}

// embeddings are the forms in which an IPv4 address hides in an IPv6 one. A
// Teredo address holds two: its server and, inverted, its client.
var embeddings = [...]embedding{
	{pfx("::ffff:0:0/96"), 12, 0, "IPv4-mapped"},            // RFC 4291 section 2.5.5.2
	{pfx("::/96"), 12, 0, "IPv4-compatible"},                // RFC 4291 section 2.5.5.1
	{pfx("::ffff:0:0:0/96"), 12, 0, "IPv4-translated"},      // RFC 2765 section 2.1
	{pfx("64:ff9b::/96"), 12, 0, "NAT64"},                   // RFC 6052 section 2.1
	{pfx("64:ff9b:1::/48"), 12, 0, "local NAT64"},           // RFC 8215, in its /96 form
	{pfx("2002::/16"), 2, 0, "6to4"},                        // RFC 3056 section 2
	{pfx("2001::/32"), 4, 0, "Teredo server"},               // RFC 4380 section 4
	{pfx("2001::/32"), 12, 0xff, "Teredo client, inverted"}, // RFC 4380 section 4
}

// extract returns the IPv4 address that ip holds in this form.
func (e embedding) extract(ip netip.Addr) netip.Addr {
	b := ip.As16()
	v4 := [4]byte(b[e.at : e.at+4])
	for i := range v4 {
		v4[i] ^= e.flip
	}
	return netip.AddrFrom4(v4)
}

// forbidden says why ip must not be reached, or returns nil. Own are the
// addresses of this host, unmapped and without zones.
func forbidden(ip netip.Addr, own []netip.Addr, allowPrivate bool) error {
	if !ip.IsValid() {
		return errors.New("no address")
	}
	ip = ip.WithZone("")
	if why := match(ip, own, allowPrivate); why != "" {
		return fmt.Errorf("%v is not to be reached: %s", ip, why)
	}
	if ip.Is4() || ip == netip.IPv6Loopback() {
		return nil
	}
	for _, e := range embeddings {
		if !holds(e.prefix, ip) {
			continue
		}
		v4 := e.extract(ip)
		if why := match(v4, own, allowPrivate); why != "" {
			return fmt.Errorf("%v is not to be reached: %s form of %v: %s", ip, e.what, v4, why)
		}
	}
	return nil
}

// match returns the first rule that ip itself falls under, or "".
func match(ip netip.Addr, own []netip.Addr, allowPrivate bool) string {
	for i := range rules {
		if r := &rules[i]; (r.standing || !allowPrivate) && holds(r.prefix, ip) {
			return r.why
		}
	}
	if allowPrivate {
		return ""
	}
	if slices.Contains(own, ip) {
		return "an address of this host"
	}
	return ""
}

// holds is Contains without its exception: there an IPv6 prefix holds no
// IPv4-mapped address.
func holds(p netip.Prefix, ip netip.Addr) bool {
	if p.Addr().Is4() != ip.Is4() {
		return false
	}
	if !ip.Is4In6() {
		return p.Contains(ip)
	}
	got, err := netip.AddrFrom16(ip.As16()).Prefix(p.Bits())
	return err == nil && got.Addr() == p.Addr()
}
