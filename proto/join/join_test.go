package join

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
)

var (
	testSecret = Secret{0xfb, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 0xff}
	testPin    = [32]byte{0: 0xfb, 31: 0xff}
)

const (
	secretText = "-wECAwQFBgcICQoLDA0O_w"
	pinText    = "-wAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAP8"
)

func TestText(t *testing.T) {
	for _, tt := range []struct {
		link Link
		text string
	}{
		{Link{Account: "default", Secret: testSecret, Host: "relay.example", Port: 8443, Pin: testPin},
			"tributary://default:" + secretText + "@relay.example:8443?pin=sha256/" + pinText},
		{Link{Account: "default", Secret: testSecret, Host: "192.0.2.7", Port: 1, Pin: testPin, Shadowsocks: 8388},
			"tributary://default:" + secretText + "@192.0.2.7:1?pin=sha256/" + pinText + "&ss=8388"},
		{Link{Account: "default", Secret: testSecret, Host: "192.0.2.7", Port: 1, Pin: testPin, Shadowsocks: 8388, Also: [MaxAlso]uint16{443, 80}, Other: netip.MustParseAddr("2001:db8::7")},
			"tributary://default:" + secretText + "@192.0.2.7:1?pin=sha256/" + pinText + "&ss=8388&also=443,80&ip=2001:db8::7"},
		{Link{Account: "a:b@c/d ü", Secret: testSecret, Host: "2001:db8::7", Port: 65535, Pin: testPin, Name: "at home & away+1"},
			"tributary://a%3Ab%40c%2Fd%20%C3%BC:" + secretText + "@[2001:db8::7]:65535?pin=sha256/" + pinText + "&name=at%20home%20%26%20away%2B1"},
	} {
		if got := tt.link.Text(); got != tt.text {
			t.Errorf("Text:\n got %s\nwant %s", got, tt.text)
		}
		for _, text := range []string{tt.text, " \r\n" + tt.text + "\n\t", "TRIBUTARY" + tt.text[9:], tt.text + "&later=1"} {
			if got, err := Parse(text); err != nil || got != tt.link {
				t.Errorf("Parse(%q) = %v, %v", text, got, err)
			}
		}
		if got := tt.link.String(); got != strings.Replace(tt.text, secretText, "…", 1) {
			t.Errorf("String: %s", got)
		}
	}
}

func TestParseErrors(t *testing.T) {
	const user, host, pin = "default:" + secretText, "relay.example:8443", "pin=sha256/" + pinText
	for _, tt := range []struct{ text, want string }{
		{"", "is empty"},
		{" \n", "is empty"},
		{"https://" + user + "@" + host + "?" + pin, "does not start with tributary://"},
		{"tributary:/", "does not start with"},
		{"tributary://" + host + "?" + pin, "no account and secret"},
		{"tributary://" + secretText + "@" + host + "?" + pin, "no secret"},
		{"tributary://:" + secretText + "@" + host + "?" + pin, "account is empty"},
		{"tributary://%zz" + user + "@" + host + "?" + pin, "account has a broken % escape"},
		{"tributary://%00" + user + "@" + host + "?" + pin, "cannot be printed"},
		{"tributary://" + strings.Repeat("a", 256) + user + "@" + host + "?" + pin, "account is longer"},
		{"tributary://" + user + "=@" + host + "?" + pin, "secret is not base64url"},
		{"tributary://" + user + "AA@" + host + "?" + pin, "secret has 18 bytes, want 16"},
		{"tributary://default:" + secretText[:21] + "x@" + host + "?" + pin, "secret is not base64url"},
		{"tributary://" + user + "@relay.example?" + pin, "has no port"},
		{"tributary://" + user + "@[2001:db8::1]?" + pin, "has no port"},
		{"tributary://" + user + "@:1?" + pin, "host is empty"},
		{"tributary://" + user + "@[2001:db8::1:1?" + pin, "no closing one"},
		{"tributary://" + user + "@2001:db8::1:1?" + pin, "brackets around it"},
		{"tributary://" + user + "@[relay.example]:1?" + pin, "nothing else has"},
		{"tributary://" + user + "@a:b:c:1?" + pin, "no IPv6 address"},
		{"tributary://" + user + "@[fe80::1%25eth0]:1?" + pin, "neither a name nor"},
		{"tributary://" + user + "@a/b:1?" + pin, "neither a name nor"},
		{"tributary://" + user + "@a:0?" + pin, "port is not a number"},
		{"tributary://" + user + "@a:65536?" + pin, "port is not a number"},
		{"tributary://" + user + "@a:x?" + pin, "port is not a number"},
		{"tributary://" + user + "@" + host, "has no pin"},
		{"tributary://" + user + "@" + host + "?ss=1", "has no pin"},
		{"tributary://" + user + "@" + host + "?pin=md5/x", "pin: does not start with sha256/"},
		{"tributary://" + user + "@" + host + "?pin=sha256/" + pinText[1:], "pin: "},
		{"tributary://" + user + "@" + host + "?pin=sha256/%zz", "pin has a broken % escape"},
		{"tributary://" + user + "@" + host + "?pin=sha256/AAAA", "pin: has 3 bytes, want 32"},
		{"tributary://" + user + "@" + host + "?" + pin + "&" + pin, "pin is given twice"},
		{"tributary://" + user + "@" + host + "?" + pin + "&ss=0", "ss: port is not a number"},
		{"tributary://" + user + "@" + host + "?" + pin + "&name=%1b", "name: want at most"},
		{"tributary://" + user + "@" + host + "?" + pin + "&name=" + strings.Repeat("n", 129), "name: want at most"},
		{"tributary://" + user + "@" + host + "?" + pin + "#home", "behind #"},
		{"tributary://" + user + "@" + host + "?pin=sha256/AAA\nAAA", "white space inside"},
		{"tributary://" + user + "@" + host + "?" + pin + strings.Repeat("x", 5000), "is longer than 4096"},
	} {
		l, err := Parse(tt.text)
		if err == nil || !strings.Contains(err.Error(), tt.want) || l != (Link{}) {
			t.Errorf("Parse(%q) = %v, %v; want error with %q", tt.text, l, err, tt.want)
		}
		if err != nil && strings.Contains(err.Error(), secretText[:8]) {
			t.Errorf("error shows the secret: %v", err)
		}
	}
}

// TestSecretStaysSecret prints a link and its secret in every way and looks for the
// secret in all the forms it could have.
func TestSecretStaysSecret(t *testing.T) {
	l := Link{Account: "default", Secret: testSecret, Host: "relay.example", Port: 8443, Pin: testPin}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "% x", "%o", "%T"} {
		for _, v := range []any{l, &l, l.Secret, &l.Secret, struct{ L Link }{l}, struct{ S Secret }{l.Secret}, []Secret{l.Secret}, map[string]Link{"k": l}} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
	}
	for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(h).Info("m", "link", l, "link", &l, "secret", l.Secret, "any", slog.AnyValue(struct{ S Secret }{l.Secret}))
	}
	for _, v := range []any{l, &l, l.Secret, map[Secret]int{l.Secret: 1}} {
		b, err := json.Marshal(v)
		if err != nil {
			t.Error(err)
		}
		out.Write(b)
	}
	for _, form := range []string{
		secretText, base64.StdEncoding.EncodeToString(testSecret[:]), fmt.Sprintf("%x", testSecret[8:]), fmt.Sprintf("%X", testSecret[8:]),
		"7 8 9 10 11", "0x7, 0x8", "7,8,9,10", "07 08 09", "7 10 11 12 13", string(testSecret[6:12]), fmt.Sprintf("%x", secretText[:8]), fmt.Sprintf("%X", secretText[:8]), fmt.Sprintf("% x", secretText[:8]),
	} {
		if i := strings.Index(out.String(), form); i >= 0 {
			t.Errorf("printed %q: …%q", form, out.String()[max(0, i-80):i+20])
		}
	}
	if s := testSecret.Text(); s != secretText {
		t.Errorf("Text = %s", s)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("tributary://default:" + secretText + "@relay.example:8443?pin=sha256/" + pinText + "&ss=8388&name=home")
	f.Add("tributary://d%20:" + secretText + "@[2001:db8::1]:1/?name=%20+&pin=sha256/" + pinText)
	f.Add("tributary://" + secretText + "@" + secretText + ":" + secretText + "?pin=" + secretText + "&ss=" + secretText)
	f.Add("%zz://" + secretText)
	f.Fuzz(func(t *testing.T, text string) {
		l, err := Parse(text)
		if err != nil {
			if strings.Contains(text, secretText) && strings.Contains(err.Error(), secretText[:6]) {
				t.Fatalf("error shows the secret: %v", err)
			}
			return
		}
		again, err := Parse(l.Text())
		if err != nil || again != l {
			t.Fatalf("%+v became %+v, %v", l, again, err)
		}
		if l.String() != strings.Replace(l.Text(), ":"+l.Secret.Text()+"@", ":…@", 1) {
			t.Fatalf("String is %s", l)
		}
	})
}
