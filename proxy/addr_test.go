package proxy

import (
	"net/netip"
	"strings"
	"testing"
)

func TestAddr(t *testing.T) {
	long := strings.Repeat("a", MaxName)
	for _, c := range []struct {
		in     string
		want   string // as String gives it back; "" is an error
		isName bool
	}{
		{"server.example:443", "server.example:443", true},
		{"Server.Example:1", "Server.Example:1", true},
		{"192.0.2.7:80", "192.0.2.7:80", false},
		{"[2001:db8::7]:80", "[2001:db8::7]:80", false},
		{"[2001:0db8:0::0007]:80", "[2001:db8::7]:80", false},
		{"[::ffff:192.0.2.7]:80", "192.0.2.7:80", false},
		{"[fe80::1%eth0]:80", "[fe80::1]:80", false},
		{"server.example:0", "server.example:0", true},
		{"server.example:65535", "server.example:65535", true},
		{"server.example:65536", "", false},
		{"server.example:-1", "", false},
		{"server.example:http", "", false},
		{"server.example:", "", false},
		{"server.example", "", false},
		{":80", "", false},
		{"", "", false},
		{"2001:db8::7:80:", "", false},
		{"two words:80", "", false},
		{"new\nline:80", "", false},
		{"nul\x00:80", "", false},
		{"del\x7f:80", "", false},
		{"user@host:80", "", false},
		{"a/b:80", "", false},
		{`a"b:80`, "", false},
		{long + ":80", long + ":80", true},
		{long + "a:80", "", false},
	} {
		a, err := ParseAddr(c.in)
		if c.want == "" {
			if err == nil {
				t.Errorf("%.40q is accepted as %v", c.in, a)
			}
			continue
		}
		if err != nil || a.String() != c.want || a.IsName() != c.isName || !a.IsValid() {
			t.Errorf("%.40q is %.40q, name %v, %v; want %.40q, name %v", c.in, a, a.IsName(), err, c.want, c.isName)
			continue
		}
		if again, err := ParseAddr(a.String()); err != nil || again != a {
			t.Errorf("%.40q reads back as %v, %v", a, again, err)
		}
	}
}

// A literal in SOCKS' domain form is the same destination as one in the IP form.
func TestAddrOfALiteralName(t *testing.T) {
	for name, ip := range map[string]string{
		"192.0.2.7": "192.0.2.7", "2001:db8::7": "2001:db8::7", "[2001:db8::7]": "2001:db8::7", "::ffff:192.0.2.7": "192.0.2.7",
	} {
		a, err := NameAddr(name, 80)
		if want := IPAddr(netip.AddrPortFrom(netip.MustParseAddr(ip), 80)); err != nil || a != want {
			t.Errorf("%s is %v, %v; want %v", name, a, err, want)
		}
	}
}

func TestZeroAddr(t *testing.T) {
	if a := (Addr{}); a.IsValid() || a.IsName() || a.Host() != "" || a.String() != ":0" {
		t.Errorf("the zero Addr is %q, valid %v", a, a.IsValid())
	}
}

func FuzzParseAddr(f *testing.F) {
	for _, s := range []string{"server.example:443", "[2001:db8::7]:80", "192.0.2.7:0", "a:b", "[::ffff:1.2.3.4]:1", ":80"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := ParseAddr(s)
		if err != nil {
			return
		}
		if again, err := ParseAddr(a.String()); err != nil || again != a || !a.IsValid() {
			t.Errorf("%q is %q, which reads as %q, %v", s, a, again, err)
		}
	})
}
