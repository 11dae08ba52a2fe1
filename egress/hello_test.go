package egress

import (
	"bytes"
	"crypto/tls"
	"net"
	"slices"
	"testing"
)

// hello returns a ClientHello of crypto/tls. One with key shares for post-quantum
// groups does not fit into a SYN.
func hello(t testing.TB, large bool) []byte {
	t.Helper()
	here, there := net.Pipe()
	defer here.Close()
	defer there.Close()
	config := &tls.Config{ServerName: "www.example.com", CurvePreferences: []tls.CurveID{tls.X25519}}
	if large {
		config.CurvePreferences = nil
	}
	go tls.Client(here, config).Handshake()
	b := make([]byte, 4096)
	n, err := there.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return b[:n]
}

// with returns a hello with the bytes at the given place replaced and all lengths
// made right, as if they had been shorter or longer.
func with(b []byte, at, old int, now ...byte) []byte {
	b = slices.Replace(slices.Clone(b), at, at+old, now...)
	b[3], b[4] = byte((len(b)-5)>>8), byte(len(b)-5)
	b[6], b[7], b[8] = 0, byte((len(b)-9)>>8), byte(len(b)-9)
	return b
}

// extensions returns where the vector of extensions begins, its length included.
func extensions(b []byte) int {
	at := 5 + 4 + 2 + 32
	at += 1 + int(b[at])
	at += 2 + int(b[at])<<8 + int(b[at+1])
	return at + 1 + int(b[at])
}

func TestReplaySafe(t *testing.T) {
	good := hello(t, false)
	if len(good) > mostSYN {
		t.Fatalf("the hello has %d bytes", len(good))
	}
	ext := extensions(good)
	n := len(good) - ext - 2
	early := with(good, ext, 2, byte((n+4)>>8), byte(n+4), 0, 42, 0, 0)
	harmless := slices.Clone(early)
	harmless[ext+3] = 43
	change := func(at int, v byte) []byte { b := slices.Clone(good); b[at] = v; return b }
	for _, tt := range []struct {
		name string
		b    []byte
		safe bool
	}{
		{"hello", good, true},
		{"large hello", hello(t, true), true},
		{"TLS 1.0 record", change(2, 1), true},
		{"one more extension", harmless, true},
		{"early data", early, false},
		{"no extensions", with(good, ext+2, n)[:ext+2], false},
		{"empty", nil, false},
		{"HTTP", []byte("GET / HTTP/1.1\r\nHost: www.example.com\r\n\r\n"), false},
		{"SSH", []byte("SSH-2.0-OpenSSH_9.9\r\n"), false},
		{"another record type", change(0, 23), false},
		{"another version", change(1, 2), false},
		{"ServerHello", change(5, 2), false},
		{"more follows", append(slices.Clone(good), 23, 3, 3, 0, 1, 0), false},
		{"more in the record", with(good, len(good), 0, 0), false},
		{"message longer than the record", change(8, good[8]+1), false},
		{"session of 33 bytes", with(good, 5+4+34, 1+int(good[43]), append([]byte{33}, make([]byte, 33)...)...), false},
	} {
		if got := replaySafe(tt.b); got != tt.safe {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.safe)
		}
	}
	for i := range good {
		if replaySafe(good[:i]) || i >= 9 && replaySafe(with(good, i, len(good)-i)) {
			t.Errorf("cut after %d bytes it is safe", i)
		}
	}
}

func FuzzReplaySafe(f *testing.F) {
	f.Add(hello(f, false))
	f.Add(hello(f, true))
	f.Add([]byte("\x16\x03\x01\x00\x04\x01\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		before := bytes.Clone(b)
		safe := replaySafe(b)
		if !bytes.Equal(b, before) {
			t.Error("changed its argument")
		}
		if safe && (replaySafe(b[:len(b)-1]) || replaySafe(append(b, 0))) {
			t.Error("a hello has another length too")
		}
	})
}
