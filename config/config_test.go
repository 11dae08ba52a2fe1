package config

import (
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"tributary/allowance"
	"tributary/gateway"
	"tributary/link"
	"tributary/relay"
)

const goodLink = "tributary://default:AAAAAAAAAAAAAAAAAAAAAA@relay.example.net:8443?pin=sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

func TestParse(t *testing.T) {
	c, err := Parse("t.toml", []byte(`
[relay]
state = "/r"
listen = "[::1]:1"
also = [443, 80]
shadowsocks = "off"
advertise = "relay.example.net"
allow_private = true
trust_clear = ["10.0.0.0/8", "fd00::/8"]
per_account = 7
speed = false
[gateway]
state = '/g'
join = "`+goodLink+`"
socks = ":1081"
api = "127.0.0.1:0"
open = "eager"
link = [{name = "a", metered = true}, {name = "b", mode = "overflow", metered = false}, {name = "c", allowance_day = 31},
	{name = "d", allowance_gb = 10}, {name = "e", allowance_gb = 0.5, metered = false, price_per_gb = 2.5}, {name = "f", price_per_gb = 0}]
`))
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Gateway.Relay.Text(); got != goodLink {
		t.Errorf("join link is %s", got)
	}
	want := Config{
		Relay: relay.Config{
			Listen: netip.MustParseAddrPort("[::1]:1"), Also: []uint16{443, 80}, Advertise: "relay.example.net", StateDir: "/r", AllowPrivate: true,
			TrustClear: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}, PerAccount: 7,
		},
		Gateway: gateway.Config{SOCKS: netip.AddrPortFrom(netip.Addr{}, 1081), Opening: gateway.Eager, Relay: c.Gateway.Relay, Plans: map[string]allowance.Plan{
			"c": {Day: 31}, "d": {Bytes: 10 * allowance.GB}, "e": {Bytes: allowance.GB / 2, PricePerGB: 2.5},
		}},
		Links: link.Config{StateDir: "/g", Wanted: []link.Wanted{
			{Name: "a", Mode: link.On, Charge: link.Metered}, {Name: "b", Mode: link.Overflow, Charge: link.Flat}, {Name: "c"},
			{Name: "d", Charge: link.Metered}, {Name: "e", Charge: link.Flat}, {Name: "f"},
		}},
		API: netip.MustParseAddrPort("127.0.0.1:0"),
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got  %+v\nwant %+v", c, want)
	}
	if c, err := Parse("t.toml", nil); err != nil || !reflect.DeepEqual(c, Default()) {
		t.Errorf("an empty file gives %+v, %v", c, err)
	}
}

// Each file and all that is to be said about it.
var badFiles = []struct{ name, text, want string }{
	{"unknown key", "[gateway]\n\nsock = \"127.0.0.1:1080\"\n",
		"t.toml:3: [gateway] sock: unknown key"},
	{"unknown keys", "[relay]\nlisten=\":1\"\nport = 1\n[gateway]\nx.y = 2\n",
		"t.toml:3: [relay] port: unknown key\nt.toml:5: [gateway.x] y: unknown key"},
	{"unknown section", "[gatway]\nsocks = \":1\"\n",
		"t.toml:1: [gatway]: unknown section"},
	{"key outside of sections", "socks = \":1\"\n",
		"t.toml:1: socks: unknown key"},
	{"unknown key of an entry", "[[gateway.link]]\nname='a'\n[[gateway.link]]\nname='b'\nmodus='on'\n",
		"t.toml:5: [[gateway.link]] entry 2 modus: unknown key"},
	{"capitals", "[gateway]\nsocks=':1'\nSOCKS=':2'\n",
		"t.toml:3: [gateway] SOCKS: unknown key: keys have no capitals"},
	{"twice", "[gateway]\nsocks=':1'\n\nsocks=':2'\n",
		"t.toml:4: [gateway] socks: is there twice"},
	{"section twice", "[gateway]\n[relay]\n[gateway]\n",
		"t.toml:3: [gateway]: is there twice"},
	{"number for text", "[gateway]\nsocks = 1080\n",
		"t.toml:2: [gateway] socks: want text in quotes"},
	{"text for number", "[relay]\nper_account = \"many\"\n",
		"t.toml:2: [relay] per_account: want a whole number"},
	{"fraction for number", "[relay]\nper_account = 1.5\n",
		"t.toml:2: [relay] per_account: want a whole number"},
	{"too large a number", "[relay]\nper_account = 9223372036854775808\n",
		"t.toml:2: [relay] per_account: want a whole number"},
	{"text for truth", "[relay]\nallow_private = \"yes\"\n",
		"t.toml:2: [relay] allow_private: want true or false"},
	{"text for list", "[relay]\ntrust_clear = \"10.0.0.0/8\"\n",
		"t.toml:2: [relay] trust_clear: want a list of texts, as [\"…\", \"…\"]"},
	{"list of numbers", "[relay]\ntrust_clear = [\n  \"10.0.0.0/8\",\n  10,\n]\n",
		"t.toml:4: [relay] trust_clear: want a list of texts, as [\"…\", \"…\"]"},
	{"value for section", "gateway = 1\n",
		"t.toml:1: gateway: want a section, under […]"},
	{"value for sections", "[gateway]\nlink = \"eth1\"\n",
		"t.toml:2: [gateway] link: want a section for each, under [[…]]"},
	{"a single entry", "[gateway.link]\nname = \"eth1\"\nmode=''\n",
		"t.toml:3: [[gateway.link]] entry 1 (eth1) mode: want on, backup, overflow or off"},
	{"type in an entry", "[[gateway.link]]\nname='a'\n[[gateway.link]]\nname='b'\nmode=true\n",
		"t.toml:5: [[gateway.link]] entry 2 mode: want text in quotes"},
	{"no TOML", "[gateway]\nsocks: 127.0.0.1:1080\n",
		"t.toml:2: no valid TOML: expected '=' after key"},
	{"open text", "[gateway]\nsocks = \"127.0.0.1:1080\n",
		"t.toml:2: no valid TOML: basic strings cannot have new lines"},
	{"no UTF-8", "[gateway]\nstate = \"\xff\"\n",
		"t.toml:2: no valid TOML: invalid UTF-8 character in basic string"},

	{"listen", "[relay]\nlisten = \"8443\"\n",
		"t.toml:2: [relay] listen: want ADDR:PORT, such as 127.0.0.1:1080 or [::1]:1080"},
	{"shadowsocks", "[relay]\nshadowsocks = \"8388\"\n",
		"t.toml:2: [relay] shadowsocks: want ADDR:PORT, such as :8388 or [::1]:8388, or off"},
	{"shadowsocks on port 0", "[relay]\nshadowsocks = \":0\"\n",
		"t.toml:2: [relay] shadowsocks: want ADDR:PORT, such as :8388 or [::1]:8388, or off"},
	{"listen by name", "[gateway]\nsocks = \"localhost:1080\"\napi = \":65536\"\n",
		"t.toml:2: [gateway] socks: want ADDR:PORT, such as 127.0.0.1:1080 or [::1]:1080\n" +
			"t.toml:3: [gateway] api: want ADDR:PORT, such as 127.0.0.1:1080 or [::1]:1080"},
	{"advertise", "[relay]\nadvertise = \"relay.example.net:8443\"\n",
		"t.toml:2: [relay] advertise: want a host name or an IP address, without port and brackets"},
	{"advertise nothing", "relay = { advertise = \"\" }\n",
		"t.toml:1: [relay] advertise: want a host name or an IP address, without port and brackets"},
	{"networks", "[relay]\ntrust_clear = [\n\"10.0.0.0/8\",\n\"10.0.0.1/8\", \"all\"]\n",
		"t.toml:2: [relay] trust_clear: entry 2: want a network, such as 10.0.0.0/8\n" +
			"t.toml:2: [relay] trust_clear: entry 3: want a network, such as 10.0.0.0/8"},
	{"per account", "[relay]\nper_account = 0\n",
		"t.toml:2: [relay] per_account: want a number above 0"},
	{"state", "[relay]\nstate = \"\"\n[gateway]\nstate = \"a\\u0000\"\n",
		"t.toml:2: [relay] state: want a directory\nt.toml:4: [gateway] state: want a directory"},
	{"join", "[gateway]\njoin = \"http://relay.example.net\"\n",
		"t.toml:2: [gateway] join: does not start with tributary://"},
	{"open", "[gateway]\nopen = \"Auto\"\n",
		"t.toml:2: [gateway] open: want auto, honest or eager"},
	{"mode", "[[gateway.link]]\nname = \"eth1\"\n[[gateway.link]]\nname = \"wwan0\"\nmode = \"bakcup\"\n",
		"t.toml:5: [[gateway.link]] entry 2 (wwan0) mode: want on, backup, overflow or off"},
	{"no name", "[[gateway.link]]\nmode = \"on\"\n",
		"t.toml:1: [[gateway.link]] entry 1 name: is missing"},
	{"bad name", "[[gateway.link]]\nname = \"lo\"\n[[gateway.link]]\nname = \"eth1=off\"\n",
		"t.toml:2: [[gateway.link]] entry 1 name: want the name of an access link's interface, such as eth1\n" +
			"t.toml:4: [[gateway.link]] entry 2 name: want the name of an access link's interface, such as eth1"},
	{"same name", "[[gateway.link]]\nname = \"eth1\"\n[[gateway.link]]\nname = \"eth1\"\n",
		"t.toml:4: [[gateway.link]] entry 2 name: an entry before this one has the same name"},
	{"inline entries", "[gateway]\nsocks = \":1\"\nlink = [{name = \"a\"}, {name = \"b\", mode = \"x\"}]\n",
		"t.toml:3: [[gateway.link]] entry 2 (b) mode: want on, backup, overflow or off"},
	{"allowance", "[[gateway.link]]\nname = \"a\"\nallowance_gb = 0\nallowance_day = 32\nprice_per_gb = -1\n",
		"t.toml:3: [[gateway.link]] entry 1 (a) allowance_gb: want a number of GB above 0\n" +
			"t.toml:4: [[gateway.link]] entry 1 (a) allowance_day: want a day of the month, 1 to 31\n" +
			"t.toml:5: [[gateway.link]] entry 1 (a) price_per_gb: want a price, such as 0.5"},
	{"no numbers", "[[gateway.link]]\nname = \"a\"\nallowance_gb = nan\nallowance_day = 0\nprice_per_gb = inf\n",
		"t.toml:3: [[gateway.link]] entry 1 (a) allowance_gb: want a number of GB above 0\n" +
			"t.toml:4: [[gateway.link]] entry 1 (a) allowance_day: want a day of the month, 1 to 31\n" +
			"t.toml:5: [[gateway.link]] entry 1 (a) price_per_gb: want a price, such as 0.5"},
	{"far too much", "[[gateway.link]]\nname = \"a\"\nallowance_gb = 1e300\nprice_per_gb = 1e7\n",
		"t.toml:3: [[gateway.link]] entry 1 (a) allowance_gb: want a number of GB above 0\n" +
			"t.toml:4: [[gateway.link]] entry 1 (a) price_per_gb: want a price, such as 0.5"},
	{"text for a price", "[[gateway.link]]\nname = \"a\"\nprice_per_gb = \"0,50 EUR\"\n",
		"t.toml:3: [[gateway.link]] entry 1 price_per_gb: want a number"},
	{"order", "[[gateway.link]]\n[gateway]\nopen = 'x'\n[relay]\nlisten = 'x'\n",
		"t.toml:1: [[gateway.link]] entry 1 name: is missing\n" +
			"t.toml:3: [gateway] open: want auto, honest or eager\n" +
			"t.toml:5: [relay] listen: want ADDR:PORT, such as 127.0.0.1:1080 or [::1]:1080"},
}

func TestBadFiles(t *testing.T) {
	for _, tt := range badFiles {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse("t.toml", []byte(tt.text))
			if err == nil {
				t.Fatalf("no error, want\n%s", tt.want)
			}
			if err.Error() != tt.want {
				t.Errorf("got\n%s\nwant\n%s", err, tt.want)
			}
		})
	}
	_, err := Parse("t.toml", make([]byte, maxSize+1))
	if err == nil || err.Error() != "t.toml: has more than 1048576 bytes, that is no configuration" {
		t.Errorf("too long: %v", err)
	}
}

// A secret in the wrong place stays one.
func TestNoSecretInErrors(t *testing.T) {
	const secret = "rMNxMTEyMzQ1Njc4OTAxMg"
	l := strings.Replace(goodLink, "AAAAAAAAAAAAAAAAAAAAAA", secret, 1)
	broken := strings.Replace(l, "sha256/", "md5/", 1)
	texts := []string{
		"join = " + l, l, "[gateway]\n" + l, "[" + l + "]", "[gateway]\njoin = '" + l, "[gateway]\njoin: " + l,
		"[gateway]\n\"" + l + "\" = 1", "[gateway]\n" + secret + " = 1", "[" + secret + "]", secret + " = 1",
		"[gateway." + secret + "]", "[[gateway.link]]\n" + secret + " = 1", "[[" + secret + "]]",
		secret + " = 1\n" + secret + " = 2", "[gateway]\njoin = '" + l + "'\njoin = '" + l + "'",
		"relay = '" + l + "'", "[gateway]\nlink = '" + l + "'", "[relay]\nallow_private = '" + l + "'",
		"[relay]\nper_account = '" + l + "'", "[relay]\ntrust_clear = '" + l + "'", "[relay]\ntrust_clear = ['" + l + "']",
		"[gateway]\njoin = '" + broken + "'", "[gateway]\njoin = '" + l + "x'", "[gateway]\nlink = [{name = '" + secret + "'}]",
		"[gateway]\nlink = [{name = 'a', mode = '" + secret + "'}]",
	}
	for _, key := range []string{"listen", "shadowsocks", "advertise"} {
		texts = append(texts, "[relay]\n"+key+" = '"+l+"'")
	}
	for _, key := range []string{"socks", "api", "open"} {
		texts = append(texts, "[gateway]\n"+key+" = '"+l+"'")
	}
	for _, text := range texts {
		_, err := Parse("t.toml", []byte(text))
		if err == nil {
			t.Errorf("no error for %s", text)
		} else if strings.Contains(err.Error(), secret) {
			t.Errorf("shows the secret: %v", err)
		}
	}
}

func TestRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gateway.toml")
	if _, err := Read(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("a missing file: %v", err)
	}
	if err := os.WriteFile(path, []byte("[gateway]\n\njoin = \""+goodLink+"\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if c, err := Read(path); err != nil || c.Gateway.Relay.Text() != goodLink {
		t.Errorf("got %v, %v", c.Gateway.Relay, err)
	}
	if runtime.GOOS == "windows" {
		return
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := Read(path)
	want := path + ":3: [gateway] join: is a secret, and every user of this host can read this file"
	if err == nil || err.Error() != want {
		t.Fatalf("got  %v\nwant %s", err, want)
	}
	if h, ok := err.(interface{ Hint() string }); !ok || h.Hint() != "chmod 600 "+path {
		t.Errorf("no hint in %#v", err)
	}
	if err := os.WriteFile(path, []byte("[gateway]\nsocks = \":1\"\n"), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(path); err != nil {
		t.Errorf("a file without a secret may be read by all: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(reference))
	for _, tt := range badFiles {
		f.Add([]byte(tt.text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := Parse("t.toml", text)
		if err != nil && !strings.HasPrefix(err.Error(), "t.toml:") {
			t.Errorf("error does not name the file: %v", err)
		}
		if err != nil && !reflect.DeepEqual(c, Config{}) {
			t.Error("an error and a Config")
		}
	})
}
