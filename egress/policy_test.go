package egress

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
)

var testOwn = []netip.Addr{netip.MustParseAddr("5.9.17.33"), netip.MustParseAddr("2a01:4f8::7"), netip.MustParseAddr("fe80::7")}

func TestPolicy(t *testing.T) {
	const (
		open    = "open"    // always reached
		private = "private" // only with AllowPrivate
		never   = "never"
	)
	for _, tt := range []struct{ ip, want, why string }{
		{"8.8.8.8", open, ""},
		{"1.1.1.1", open, ""},
		{"9.255.255.255", open, ""},
		{"11.0.0.0", open, ""},
		{"172.15.255.255", open, ""},
		{"172.32.0.0", open, ""},
		{"100.63.255.255", open, ""},
		{"100.128.0.0", open, ""},
		{"198.17.255.255", open, ""},
		{"198.20.0.0", open, ""},
		{"223.255.255.255", open, ""},
		{"10.0.0.1", private, "RFC 1918"},
		{"172.16.0.1", private, "RFC 1918"},
		{"172.31.255.255", private, "RFC 1918"},
		{"192.168.1.1", private, "RFC 1918"},
		{"127.0.0.1", private, "loopback"},
		{"127.255.255.254", private, "loopback"},
		{"169.254.169.254", private, "link-local"},
		{"100.64.0.1", private, "carrier-grade"},
		{"100.127.255.255", private, "carrier-grade"},
		{"192.0.0.192", private, "protocol assignments"},
		{"192.0.2.1", private, "documentation"},
		{"198.51.100.1", private, "documentation"},
		{"203.0.113.1", private, "documentation"},
		{"198.18.0.1", private, "benchmarking"},
		{"198.19.255.255", private, "benchmarking"},
		{"5.9.17.33", private, "this host"},
		{"0.0.0.0", never, "this network"},
		{"0.1.2.3", never, "this network"},
		{"224.0.0.1", never, "multicast"},
		{"239.255.255.255", never, "multicast"},
		{"240.0.0.1", never, "reserved"},
		{"255.255.255.255", never, "broadcast"},

		{"2606:4700::1111", open, ""},
		{"2a01:4f8::8", open, ""},
		{"2001:4860:4860::8888", open, ""},
		{"::1", private, "loopback"},
		{"fd00:ec2::254", private, "RFC 4193"},
		{"fc00::1", private, "RFC 4193"},
		{"fe80::1", private, "link-local"},
		{"fe80::1%eth0", private, "link-local"},
		{"fe80::7", private, "link-local"},
		{"febf::1", private, "link-local"},
		{"fec0::1", private, "site-local"},
		{"2001:db8::1", private, "documentation"},
		{"3fff::1", private, "documentation"},
		{"2001:2::1", private, "benchmarking"},
		{"64:ff9b:1::808:808", private, "local translation"},
		{"2a01:4f8::7", private, "this host"},
		{"::", never, "unspecified"},
		{"ff02::1", never, "multicast"},
		{"ff0e::1", never, "multicast"},
		{"100::1", never, "discard"},
		{"2001:10::1", never, "ORCHID"},
		{"2001:2f::1", never, "ORCHIDv2"},

		{"::ffff:8.8.8.8", open, ""},
		{"::ffff:10.0.0.1", private, "IPv4-mapped form of 10.0.0.1: private"},
		{"::ffff:0.0.0.0", never, "IPv4-mapped form of 0.0.0.0"},
		{"::8.8.8.8", open, ""},
		{"::127.0.0.1", private, "IPv4-compatible form of 127.0.0.1"},
		{"::ffff:0:169.254.169.254", private, "IPv4-translated form of 169.254.169.254"},
		{"64:ff9b::8.8.8.8", open, ""},
		{"64:ff9b::5.9.17.33", private, "NAT64 form of 5.9.17.33: an address of this host"},
		{"64:ff9b::169.254.169.254", private, "NAT64 form of 169.254.169.254"},
		{"64:ff9b:1::224.0.0.1", never, ""},
		{"2002:808:808::1", open, ""},
		{"2002:c0a8:101::1", private, "6to4 form of 192.168.1.1"},
		{"2002:ffff:ffff::", never, "6to4 form of 255.255.255.255"},
		{"2001:0:808:808:0:0:f7f7:f7f7", open, ""},
		{"2001:0:a00:1:0:0:f7f7:f7f7", private, "Teredo server form of 10.0.0.1"},
		{"2001:0:808:808:0:0:80ff:fffe", private, "Teredo client, inverted form of 127.0.0.1"},
		{"2001:0:808:808:0:0:1fff:fffe", never, "form of 224.0.0.1"},
	} {
		ip := netip.MustParseAddr(tt.ip)
		strict, lax := forbidden(ip, testOwn, false), forbidden(ip, testOwn, true)
		if got, want := strict != nil, tt.want != open; got != want {
			t.Errorf("%s: %v, want %s", tt.ip, strict, tt.want)
		}
		if got, want := lax != nil, tt.want == never; got != want {
			t.Errorf("%s with AllowPrivate: %v, want %s", tt.ip, lax, tt.want)
		}
		if strict != nil && (!strings.Contains(strict.Error(), tt.why) || !strings.HasPrefix(strict.Error(), ip.WithZone("").String())) {
			t.Errorf("%s: error %q does not name the address and %q", tt.ip, strict, tt.why)
		}
	}
	if forbidden(netip.Addr{}, nil, true) == nil {
		t.Error("the zero address is allowed")
	}
}

// forms hides an IPv4 address in every way we know, with a public one wherever a
// second one is needed.
func forms(v4 [4]byte) map[string]netip.Addr {
	put := func(prefix string, at int, b [4]byte) netip.Addr {
		a := netip.MustParseAddr(prefix).As16()
		copy(a[at:], b[:])
		return netip.AddrFrom16(a)
	}
	inverted := [4]byte{^v4[0], ^v4[1], ^v4[2], ^v4[3]}
	return map[string]netip.Addr{
		"mapped":        put("::ffff:0:0", 12, v4),
		"compatible":    put("::", 12, v4),
		"translated":    put("::ffff:0:0:0", 12, v4),
		"nat64":         put("64:ff9b::", 12, v4),
		"6to4":          put("2002::1", 2, v4),
		"teredo server": put("2001:0:0:0:0:0:f7f7:f7f7", 4, v4),
		"teredo client": put("2001:0:808:808::", 12, inverted),
	}
}

// A form is refused if and only if the address in it is.
func TestPolicyEmbedded(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	check := func(v4 [4]byte) {
		t.Helper()
		plain := netip.AddrFrom4(v4)
		for _, allow := range []bool{false, true} {
			want := forbidden(plain, testOwn, allow) != nil
			for name, ip := range forms(v4) {
				if ip == netip.IPv6Loopback() || ip.IsUnspecified() {
					continue // loopback and unspecified before they are 0.0.0.1 and 0.0.0.0
				}
				if err := forbidden(ip, testOwn, allow); (err != nil) != want {
					t.Fatalf("%v is %s form of %v: %v, want refused %v (AllowPrivate %v)", ip, name, plain, err, want, allow)
				}
			}
		}
	}
	for _, r := range rules { // both edges of every range, and one beyond
		if r.prefix.Addr().Is4() {
			first := binary.BigEndian.Uint32(r.prefix.Addr().AsSlice())
			size := uint32(1) << (32 - r.prefix.Bits())
			for _, n := range []uint32{first - 1, first, first + size - 1, first + size} {
				check([4]byte(binary.BigEndian.AppendUint32(nil, n)))
			}
		}
	}
	check(testOwn[0].As4())
	for range 5000 {
		check([4]byte(binary.BigEndian.AppendUint32(nil, rnd.Uint32())))
	}
}

// Whatever the standard library calls not a global address is refused.
func FuzzPolicy(f *testing.F) {
	for _, s := range []string{"::", "::1", "::ffff:127.0.0.1", "fe80::1", "64:ff9b::7f00:1", "2002:7f00:1::", "2001:db8::1", "2606:4700::1111"} {
		a := netip.MustParseAddr(s).As16()
		f.Add(a[:])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		ip, ok := netip.AddrFromSlice(b)
		if !ok {
			return
		}
		strict, lax := forbidden(ip, nil, false), forbidden(ip, nil, true)
		if lax != nil && strict == nil {
			t.Errorf("%v: only AllowPrivate refuses: %v", ip, lax)
		}
		for _, x := range append(hidden(ip), ip, ip.Unmap()) {
			bad := x.IsPrivate() || x.IsLoopback() || x.IsLinkLocalUnicast() || x.IsMulticast() || x.IsUnspecified()
			if bad && strict == nil {
				t.Errorf("%v is allowed, but leads to %v", ip, x)
			}
			if x.Is4() && x.IsMulticast() && lax == nil {
				t.Errorf("%v is allowed with AllowPrivate, but leads to %v", ip, x)
			}
		}
	})
}

// hidden is a second way to find the IPv4 addresses in an IPv6 one: by text.
func hidden(ip netip.Addr) (found []netip.Addr) {
	if !ip.Is6() {
		return nil
	}
	s := strings.ReplaceAll(ip.StringExpanded(), ":", "")
	if ip.Is4In6() {
		s = fmt.Sprintf("%x", ip.As16())
	}
	quad := func(hex string, flip byte) {
		var v4 [4]byte
		fmt.Sscanf(hex, "%02x%02x%02x%02x", &v4[0], &v4[1], &v4[2], &v4[3])
		for i := range v4 {
			v4[i] ^= flip
		}
		found = append(found, netip.AddrFrom4(v4))
	}
	for _, p := range []string{"00000000000000000000ffff", "000000000000000000000000", "0000000000000000ffff0000", "0064ff9b0000000000000000"} {
		if strings.HasPrefix(s, p) {
			quad(s[24:], 0)
		}
	}
	if strings.HasPrefix(s, "2002") {
		quad(s[4:12], 0)
	}
	if strings.HasPrefix(s, "20010000") {
		quad(s[8:16], 0)
		quad(s[24:], 0xff)
	}
	return found
}

func BenchmarkPolicy(b *testing.B) {
	v4, v6 := netip.MustParseAddr("8.8.8.8"), netip.MustParseAddr("2606:4700::1111")
	for b.Loop() {
		forbidden(v4, testOwn, false)
		forbidden(v6, testOwn, false)
	}
}
