package socks

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"
	"testing/iotest"

	"tributary/proxy"
)

func addr(t testing.TB, s string) proxy.Addr {
	t.Helper()
	a, err := proxy.ParseAddr(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// must drops the error of an Append function that cannot fail here.
func must(b []byte, err error) string {
	if err != nil {
		panic(err)
	}
	return string(b)
}

// TestGolden holds every message against bytes written down by hand from RFC
// 1928, RFC 1929 and the SOCKS4 and 4a papers.
func TestGolden(t *testing.T) {
	ap := netip.MustParseAddrPort
	v4, v6, name := addr(t, "192.0.2.7:443"), addr(t, "[2001:db8::7]:80"), addr(t, "a.example:8080")
	for _, tt := range []struct{ what, got, want string }{
		{"greeting", string(AppendGreeting(nil, NoAuth, UserPass)), "\x05\x02\x00\x02"},
		{"greeting of nothing", string(AppendGreeting(nil)), "\x05\x00"},
		{"selection", string(AppendSelection(nil, UserPass)), "\x05\x02"},
		{"no method", string(AppendSelection(nil, noAcceptableMethod)), "\x05\xff"},
		{"auth", must(AppendAuth(nil, "me", "pass")), "\x01\x02me\x04pass"},
		{"auth ok", string(AppendAuthReply(nil, true)), "\x01\x00"},
		{"auth wrong", string(AppendAuthReply(nil, false)), "\x01\x01"},
		{"request IPv4", string(AppendRequest(nil, Message{Connect, v4})), "\x05\x01\x00\x01\xc0\x00\x02\x07\x01\xbb"},
		{"request IPv6", string(AppendRequest(nil, Message{UDPAssociate, v6})),
			"\x05\x03\x00\x04\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x07\x00\x50"},
		{"request name", string(AppendRequest(nil, Message{Bind, name})), "\x05\x02\x00\x03\x09a.example\x1f\x90"},
		{"request of nothing", string(AppendRequest(nil, Message{Command: Connect})), "\x05\x01\x00\x01\x00\x00\x00\x00\x00\x00"},
		{"reply", string(AppendReply(nil, Succeeded, ap("192.0.2.7:443"))), "\x05\x00\x00\x01\xc0\x00\x02\x07\x01\xbb"},
		{"reply unbound", string(AppendReply(nil, 5, netip.AddrPort{})), "\x05\x05\x00\x01\x00\x00\x00\x00\x00\x00"},
		{"request 4", must(AppendRequest4(nil, Message4{Connect, "me", v4})), "\x04\x01\x01\xbb\xc0\x00\x02\x07me\x00"},
		{"request 4a", must(AppendRequest4(nil, Message4{Bind, "", name})), "\x04\x02\x1f\x90\x00\x00\x00\x01\x00a.example\x00"},
		{"reply 4", string(AppendReply4(nil, Granted4, ap("[::ffff:192.0.2.7]:443"))), "\x00\x5a\x01\xbb\xc0\x00\x02\x07"},
		{"reply 4 of IPv6", string(AppendReply4(nil, rejected4, ap("[2001:db8::7]:80"))), "\x00\x5b\x00\x50\x00\x00\x00\x00"},
		{"login", must(AppendLogin(nil, "me", "pass")), "\x05\x01\x02\x01\x02me\x04pass"},
		{"login of nobody", must(AppendLogin(nil, "", "")), "\x05\x01\x00"},
		{"connect", string(AppendConnect(nil, v4, []byte("hi"))), "\x05\x01\x00\x01\xc0\x00\x02\x07\x01\xbbhi"},
		{"opening", must(AppendOpening([]byte("x"), "me", "pass", v4, []byte("hi"))), "x\x05\x01\x02\x01\x02me\x04pass\x05\x01\x00\x01\xc0\x00\x02\x07\x01\xbbhi"},
	} {
		if tt.got != tt.want {
			t.Errorf("%s:\n got %x\nwant %x", tt.what, tt.got, tt.want)
		}
	}
}

func TestAppendLimits(t *testing.T) {
	long := strings.Repeat("x", 256)
	if _, err := AppendAuth(nil, long, ""); err == nil {
		t.Error("user of 256 bytes is accepted")
	}
	if _, err := AppendAuth(nil, "", long); err == nil {
		t.Error("password of 256 bytes is accepted")
	}
	if _, err := AppendOpening(nil, "me", long, proxy.Addr{}, nil); err == nil {
		t.Error("opening with a password of 256 bytes is accepted")
	}
	if b := AppendGreeting(nil, []byte(long)...); len(b) != 257 || b[1] != 255 {
		t.Errorf("greeting of 256 methods has %d bytes, count %d", len(b), b[1])
	}
	to := addr(t, "a.example:1")
	for _, m := range []Message4{{Connect, long, to}, {Connect, "a\x00b", to}, {Connect, "", proxy.Addr{}}, {Connect, "", addr(t, "[2001:db8::1]:1")}} {
		if b, err := AppendRequest4(nil, m); err == nil {
			t.Errorf("AppendRequest4(%v) = %x", m, b)
		}
	}
	if _, err := AppendRequest4(nil, Message4{Connect, "", addr(t, "[2001:db8::1]:1")}); proxy.ReasonOf(err) != proxy.AddressUnsupported {
		t.Errorf("IPv6 over SOCKS4: %v", err)
	}
}

// reader is one of the package's readers in a form that tests can walk.
type reader struct {
	name string
	read func(io.Reader) (any, error)
}

var readers = []reader{
	{"greeting", func(r io.Reader) (any, error) { m, err := ReadGreeting(r); return string(m), err }},
	{"selection", func(r io.Reader) (any, error) { return ReadSelection(r) }},
	{"auth", func(r io.Reader) (any, error) { u, p, err := ReadAuth(r); return u + "|" + p, err }},
	{"auth reply", func(r io.Reader) (any, error) { return nil, ReadAuthReply(r) }},
	{"request", func(r io.Reader) (any, error) { return ReadRequest(r) }},
	{"reply", func(r io.Reader) (any, error) { return ReadReply(r) }},
	{"request 4", func(r io.Reader) (any, error) { return ReadRequest4(r) }},
	{"reply 4", func(r io.Reader) (any, error) { return ReadReply4(r) }},
	{"login", func(r io.Reader) (any, error) { return nil, ReadLogin(r, "me") }},
	{"login of nobody", func(r io.Reader) (any, error) { return nil, ReadLogin(r, "") }},
}

func readerNamed(t testing.TB, name string) func(io.Reader) (any, error) {
	for _, r := range readers {
		if r.name == name {
			return r.read
		}
	}
	t.Fatalf("no reader %q", name)
	return nil
}

// TestReadExactly reads each message in one piece, byte by byte, cut at every
// byte, and looks that the byte behind it stays where it is.
func TestReadExactly(t *testing.T) {
	ap := netip.MustParseAddrPort
	for _, tt := range []struct {
		name, in string
		want     any
	}{
		{"greeting", "\x05\x02\x00\x02", "\x00\x02"},
		{"selection", "\x05\x02", byte(2)},
		{"auth", "\x01\x02me\x04pass", "me|pass"},
		{"auth", "\x01\x00\x00", "|"},
		{"auth reply", "\x01\x00", nil},
		{"auth reply", "\x05\x00", nil},
		{"request", "\x05\x01\x00\x01\xc0\x00\x02\x07\x01\xbb", Message{Connect, addr(t, "192.0.2.7:443")}},
		{"request", "\x05\x01\x77\x03\x0a192.0.2.77\x01\xbb", Message{Connect, addr(t, "192.0.2.77:443")}},
		{"request", "\x05\x02\x00\x03\x09a.example\x1f\x90", Message{Bind, addr(t, "a.example:8080")}},
		{"request", "\x05\x03\x00\x04" + strings.Repeat("\x20", 16) + "\x00\x50", Message{UDPAssociate, addr(t, "[2020:2020:2020:2020:2020:2020:2020:2020]:80")}},
		{"reply", "\x05\x00\x00\x01\xc0\x00\x02\x07\x01\xbb", ap("192.0.2.7:443")},
		{"reply", "\x05\x00\x00\x04" + strings.Repeat("\x20", 16) + "\x00\x50", ap("[2020:2020:2020:2020:2020:2020:2020:2020]:80")},
		{"reply", "\x05\x00\x00\x03\x09a.example\x1f\x90", netip.AddrPort{}},
		{"reply", "\x05\x00\x00\x03\x00\x1f\x90", netip.AddrPort{}},
		{"request 4", "\x04\x01\x01\xbb\xc0\x00\x02\x07me\x00", Message4{Connect, "me", addr(t, "192.0.2.7:443")}},
		{"request 4", "\x04\x01\x01\xbb\x00\x00\x00\x00\x00", Message4{Connect, "", addr(t, "0.0.0.0:443")}},
		{"request 4", "\x04\x01\x01\xbb\x00\x00\x00\x09me\x00a.example\x00", Message4{Connect, "me", addr(t, "a.example:443")}},
		{"reply 4", "\x00\x5a\x01\xbb\xc0\x00\x02\x07", ap("192.0.2.7:443")},
		{"reply 4", "\x04\x5a\x01\xbb\xc0\x00\x02\x07", ap("192.0.2.7:443")},
		{"login", "\x05\x02\x01\x00", nil},
		{"login of nobody", "\x05\x00", nil},
	} {
		read := readerNamed(t, tt.name)
		for _, wrap := range []func(io.Reader) io.Reader{func(r io.Reader) io.Reader { return r }, iotest.OneByteReader, iotest.HalfReader} {
			rest := strings.NewReader(tt.in + "!")
			if got, err := read(wrap(rest)); err != nil || got != tt.want {
				t.Errorf("%s %x = %v, %v; want %v", tt.name, tt.in, got, err, tt.want)
			}
			if rest.Len() != 1 {
				t.Errorf("%s %x: %d bytes are left, want 1", tt.name, tt.in, rest.Len())
			}
		}
		for i := range tt.in {
			_, err := read(strings.NewReader(tt.in[:i]))
			if !errors.Is(err, io.ErrUnexpectedEOF) && !(errors.Is(err, io.EOF) && (i == 0 || i == 2)) {
				t.Errorf("%s %x: %v", tt.name, tt.in[:i], err)
			}
			var answered *proxy.Error
			if errors.As(err, &answered) {
				t.Errorf("%s %x: a cut stream reads as an answer: %v", tt.name, tt.in[:i], err)
			}
		}
	}
}

func TestReadErrors(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		want     proxy.Reason
		answered bool // the error is a *proxy.Error
	}{
		{"greeting", "\x04\x01\x00", proxy.Failed, false},
		{"selection", "\x05\xff", proxy.AuthenticationFailed, true},
		{"selection", "HT", proxy.Failed, true},
		{"auth", "\x05\x01a\x01b", proxy.Failed, false},
		{"auth reply", "\x01\x01", proxy.AuthenticationFailed, true},
		{"request", "\x04\x01\x00\x01", proxy.Failed, true},
		{"request", "\x05\x01\x00\x02\x00\x00", proxy.AddressUnsupported, true},
		{"request", "\x05\x01\x00\x03\x03a b\x00\x50", proxy.NameNotFound, true},
		{"request", "\x05\x01\x00\x03\x00\x00\x50", proxy.NameNotFound, true},
		{"reply", "HTTP/1.1 400", proxy.Failed, true},
		{"reply", "\x05\x00\x00\x07\x00\x00", proxy.Failed, true},
		{"reply", "\x05\x05", proxy.Refused, true}, // hangs up behind the code
		{"reply", "\x05\x02\x00\x01\x00\x00\x00\x00\x00\x00", proxy.NotAllowed, true},
		{"reply", "\x05\xf0\x00\x01\x00\x00\x00\x00\x00\x00", proxy.Failed, true},
		{"request 4", "\x05\x01\x00\x00\x00\x00\x00\x00", proxy.Failed, true},
		{"request 4", "\x04\x01\x01\xbb\xc0\x00\x02\x07" + strings.Repeat("u", 256) + "\x00", proxy.Failed, true},
		{"request 4", "\x04\x01\x01\xbb\x00\x00\x00\x01\x00" + strings.Repeat("n", 256) + "\x00", proxy.Failed, true},
		{"request 4", "\x04\x01\x01\xbb\x00\x00\x00\x01\x00\x00", proxy.NameNotFound, true},
		{"reply 4", "\x00\x5b\x00\x00\x00\x00\x00\x00", proxy.Failed, true},
		{"reply 4", "\x00\x5d\x00\x00\x00\x00\x00\x00", proxy.AuthenticationFailed, true},
		{"reply 4", "HTTP/1.1 400", proxy.Failed, true},
		{"login", "\x05\x00", proxy.Failed, true},
		{"login", "\x05\xff", proxy.AuthenticationFailed, true},
		{"login", "\x05\x02\x01\x01", proxy.AuthenticationFailed, true},
		{"login of nobody", "\x05\x02\x01\x00", proxy.Failed, true},
	} {
		_, err := readerNamed(t, tt.name)(strings.NewReader(tt.in))
		var answered *proxy.Error
		if err == nil || proxy.ReasonOf(err) != tt.want || errors.As(err, &answered) != tt.answered {
			t.Errorf("%s %q: %v (%v, answered %v), want %v, %v", tt.name, tt.in, err, proxy.ReasonOf(err), !tt.answered, tt.want, tt.answered)
		}
	}
}

// TestCodes walks all reasons: none is a success, each has a place in the table,
// and what the client reads back is what RFC 1928 can say of it.
func TestCodes(t *testing.T) {
	if len(codes) != len(proxy.Reasons()) {
		t.Errorf("the table has %d reasons of %d", len(codes), len(proxy.Reasons()))
	}
	lossy := map[proxy.Reason]proxy.Reason{
		proxy.NameNotFound:         proxy.HostUnreachable,
		proxy.TimedOut:             proxy.HostUnreachable,
		proxy.AuthenticationFailed: proxy.NotAllowed,
		proxy.Overloaded:           proxy.Failed,
		proxy.RelayUnreachable:     proxy.Failed,
		proxy.Duplicate:            proxy.Failed,
	}
	for _, r := range append(proxy.Reasons(), 200) {
		code, code4 := Code(r), Code4(r)
		if code == Succeeded || code > addressTypeUnknown {
			t.Errorf("%v: SOCKS5 code %d", r, code)
		}
		if code4 != rejected4 && code4 != badIdent4 {
			t.Errorf("%v: SOCKS4 code %d", r, code4)
		}
		want, ok := lossy[r]
		if !ok && r != 200 {
			want = r
		}
		if got := Reason(code); got != want {
			t.Errorf("%v: code %d reads as %v, want %v", r, code, got, want)
		}
	}
	for code := range 256 {
		if r := Reason(byte(code)); code != ttlExpired && code >= generalFailure && code <= addressTypeUnknown && Code(r) != byte(code) {
			t.Errorf("code %d is %v is code %d", code, r, Code(r))
		}
	}
	if Reason(ttlExpired) != proxy.TimedOut || Reason4(noIdent4) != proxy.AuthenticationFailed {
		t.Error("codes that we never send")
	}
}

// fuzz runs a reader over any bytes: what it accepts, it must accept again after it
// was written down, as the same thing, and it must not look beyond it.
func fuzz[M any](f *testing.F, read func(io.Reader) (M, error), write func([]byte, M) ([]byte, error), same func(a, b M) bool, seeds ...string) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		m, err := read(bytes.NewReader(in))
		_, err1 := read(iotest.OneByteReader(bytes.NewReader(in)))
		if (err == nil) != (err1 == nil) {
			t.Fatalf("in one piece %v, byte by byte %v", err, err1)
		}
		if err != nil {
			return
		}
		text, err := write(nil, m)
		if err != nil {
			if proxy.ReasonOf(err) == proxy.AddressUnsupported { // an IPv6 literal as SOCKS4a name
				return
			}
			t.Fatal(err)
		}
		rest := strings.NewReader(string(text) + "!")
		again, err := read(rest)
		if err != nil || !same(m, again) || rest.Len() != 1 {
			t.Fatalf("%v became %v, %v, %d left", m, again, err, rest.Len())
		}
	})
}

func equal[M comparable](a, b M) bool { return a == b }

func FuzzReadGreeting(f *testing.F) {
	fuzz(f, ReadGreeting, func(b, m []byte) ([]byte, error) { return AppendGreeting(b, m...), nil }, bytes.Equal, "\x05\x02\x00\x02", "\x05\x00")
}

func FuzzReadSelection(f *testing.F) {
	fuzz(f, ReadSelection, func(b []byte, m byte) ([]byte, error) { return AppendSelection(b, m), nil }, equal, "\x05\x02", "\x05\xff")
}

func FuzzReadAuth(f *testing.F) {
	read := func(r io.Reader) ([2]string, error) { u, p, err := ReadAuth(r); return [2]string{u, p}, err }
	write := func(b []byte, m [2]string) ([]byte, error) { return AppendAuth(b, m[0], m[1]) }
	fuzz(f, read, write, equal, "\x01\x02me\x04pass", "\x01\x00\x00")
}

func FuzzReadRequest(f *testing.F) {
	fuzz(f, ReadRequest, func(b []byte, m Message) ([]byte, error) { return AppendRequest(b, m), nil }, equal,
		"\x05\x01\x00\x01\xc0\x00\x02\x07\x01\xbb", "\x05\x01\x00\x03\x09a.example\x1f\x90",
		"\x05\x01\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xc0\x00\x02\x07\x00\x50", "\x05\x01\x00\x03\x03::1\x00\x50")
}

func FuzzReadReply(f *testing.F) {
	fuzz(f, ReadReply, func(b []byte, m netip.AddrPort) ([]byte, error) { return AppendReply(b, Succeeded, m), nil },
		func(a, b netip.AddrPort) bool { return a == b || !a.IsValid() },
		"\x05\x00\x00\x01\xc0\x00\x02\x07\x01\xbb", "\x05\x00\x00\x03\x09a.example\x1f\x90", "\x05\x05")
}

func FuzzReadRequest4(f *testing.F) {
	fuzz(f, ReadRequest4, AppendRequest4, equal, "\x04\x01\x01\xbb\xc0\x00\x02\x07me\x00", "\x04\x01\x01\xbb\x00\x00\x00\x01me\x00a.example\x00", "\x04\x01\x01\xbb\x00\x00\x00\x01\x00::1\x00")
}

func FuzzReadReply4(f *testing.F) {
	fuzz(f, ReadReply4, func(b []byte, m netip.AddrPort) ([]byte, error) { return AppendReply4(b, Granted4, m), nil }, equal, "\x00\x5a\x01\xbb\xc0\x00\x02\x07", "\x00\x5b")
}
