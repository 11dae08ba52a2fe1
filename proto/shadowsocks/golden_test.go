package shadowsocks

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"slices"
	"testing"
	"time"

	"lukechampine.com/blake3"

	"tributary/proxy"
)

var (
	identity = Key([]byte("identity of all."))
	user     = Key([]byte("the user's key.."))
	noon     = time.Unix(1_800_000_000, 0)
)

func at(t time.Time) func() time.Time { return func() time.Time { return t } }

func address(s string) proxy.Addr {
	a, err := proxy.ParseAddr(s)
	if err != nil {
		panic(err)
	}
	return a
}

// A hand seals parts as SIP022 says, with nothing of this package.
type hand struct {
	aead  cipher.AEAD
	parts uint64
}

func byHand(psk, salt []byte) *hand {
	key := make([]byte, 16)
	blake3.DeriveKey(key, "shadowsocks 2022 session subkey", slices.Concat(psk, salt))
	block, _ := aes.NewCipher(key)
	aead, _ := cipher.NewGCM(block)
	return &hand{aead: aead}
}

func (h *hand) seal(plain ...byte) []byte {
	nonce := binary.LittleEndian.AppendUint64(nil, h.parts)
	h.parts++
	return h.aead.Seal(nil, append(nonce, 0, 0, 0, 0), plain, nil)
}

func (h *hand) chunk(text string) []byte {
	return append(h.seal(byte(len(text)>>8), byte(len(text))), h.seal([]byte(text)...)...)
}

func identityByHand(psk, salt, user []byte) []byte {
	key := make([]byte, 16)
	blake3.DeriveKey(key, "shadowsocks 2022 identity subkey", slices.Concat(psk, salt))
	block, _ := aes.NewCipher(key)
	sum := blake3.Sum256(user)
	out := make([]byte, 16)
	block.Encrypt(out, sum[:16])
	return out
}

func timeByHand() []byte { return binary.BigEndian.AppendUint64(nil, uint64(noon.Unix())) }

// BLAKE3's own test vectors, so that the library is what it says.
func TestHash(t *testing.T) {
	sum := blake3.Sum256(nil)
	if got := hex.EncodeToString(sum[:]); got != "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262" {
		t.Errorf("BLAKE3 of nothing is %s", got)
	}
	key := make([]byte, 32)
	blake3.DeriveKey(key, "BLAKE3 2019-12-27 16:29:52 test vectors context", nil)
	if got := hex.EncodeToString(key); got != "2cc39783c223154fea8dfb7c1b1660f2ac2dcbd1c1de8277b0b0dd39b7e50d7d" {
		t.Errorf("key derived from nothing is %s", got)
	}
}

func TestIdentityKey(t *testing.T) {
	pin := sha256.Sum256([]byte("a key"))
	want := sha256.Sum256([]byte("tributary shadowsocks identity 1" + string(pin[:])))
	if got := IdentityKey(pin); !bytes.Equal(got[:], want[:16]) {
		t.Errorf("got %x", got)
	}
}

func TestRequestGolden(t *testing.T) {
	salt := Salt([]byte("a salt of 16 oct"))
	for _, c := range []struct {
		to   string
		wire string
	}{
		{"192.0.2.80:80", "\x01\xc0\x00\x02\x50\x00\x50"},
		{"[2001:db8::80]:443", "\x04\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80\x01\xbb"},
		{"server.test:22", "\x03\x0bserver.test\x00\x16"},
	} {
		header := c.wire + "\x00\x0b" + Mark + "question"
		h := byHand(user[:], salt[:])
		want := slices.Concat(salt[:], identityByHand(identity[:], salt[:], user[:]),
			h.seal(slices.Concat([]byte{0}, timeByHand(), []byte{byte(len(header) >> 8), byte(len(header))})...),
			h.seal([]byte(header)...))

		cl := newClient(identity, user, address(c.to), true, at(noon), salt)
		got, err := cl.Seal(nil, []byte("question"))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: opening is\n%x, want\n%x (%v)", c.to, got, want, err)
		}
		if got, _ := cl.Seal(nil, []byte("more")); !bytes.Equal(got, h.chunk("more")) {
			t.Errorf("%s: chunk is %x", c.to, got)
		}
		if got := cl.End(nil); !bytes.Equal(got, h.chunk("")) {
			t.Errorf("%s: end is %x", c.to, got)
		}
	}
}

func TestResponseGolden(t *testing.T) {
	salt := Salt([]byte("a salt of 16 oct"))
	cl := newClient(identity, user, address("server.test:22"), false, at(noon), salt)
	theirs := []byte("their salt, 16 o")
	h := byHand(user[:], theirs)
	in := slices.Concat(theirs,
		h.seal(slices.Concat([]byte{1}, timeByHand(), salt[:], []byte{0, 6})...),
		h.seal([]byte("banner")...), h.chunk("and more"))
	got, err := readAll(&cl.Opener, in)
	if err != nil || got != "bannerand more" || !cl.Whole() {
		t.Errorf("read %q, %v", got, err)
	}
}

// Requests that no client of ours makes, and some that are wrong.
func TestServerReadsWhatSIP022Says(t *testing.T) {
	salt := []byte("a salt of 16 oct")
	const to = "\x03\x0bserver.test\x00\x16"
	request := func(kind byte, seconds []byte, header string) []byte {
		h := byHand(user[:], salt)
		return slices.Concat(salt, identityByHand(identity[:], salt, user[:]),
			h.seal(slices.Concat([]byte{kind}, seconds, []byte{byte(len(header) >> 8), byte(len(header))})...), h.seal([]byte(header)...))
	}
	seconds := func(d int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(noon.Unix()+d)) }
	for _, c := range []struct {
		name string
		in   []byte
		want error
	}{
		{"padding and no data", request(0, seconds(0), to+"\x00\x03abc"), nil},
		{"data and no padding", request(0, seconds(0), to+"\x00\x00abc"), nil},
		{"neither", request(0, seconds(0), to+"\x00\x00"), ErrFormat},
		{"too much padding", request(0, seconds(0), to+"\x03\x85"+string(make([]byte, 901))), ErrFormat},
		{"most padding", request(0, seconds(0), to+"\x03\x84"+string(make([]byte, 900))), nil},
		{"padding beyond the end", request(0, seconds(0), to+"\x00\x04abc"), ErrFormat},
		{"a response", request(1, seconds(0), to+"\x00\x03abc"), ErrFormat},
		{"30 s early", request(0, seconds(-30), to+"\x00\x03abc"), nil},
		{"31 s early", request(0, seconds(-31), to+"\x00\x03abc"), ErrClock},
		{"30 s late", request(0, seconds(30), to+"\x00\x03abc"), nil},
		{"31 s late", request(0, seconds(31), to+"\x00\x03abc"), ErrClock},
		{"the end of time", request(0, bytes.Repeat([]byte{0xff}, 8), to+"\x00\x03abc"), ErrClock},
		{"an address type of its own", request(0, seconds(0), "\x05"+to[1:]+"\x00\x03abc"), ErrFormat},
		{"a name with a slash", request(0, seconds(0), "\x03\x03a/b\x00\x16\x00\x03abc"), ErrFormat},
		{"no header", request(0, seconds(0), ""), ErrFormat},
		{"cut address", request(0, seconds(0), "\x04abc"), ErrFormat},
	} {
		s := newServer(0)
		st, err := s.Accept(c.in, bytes.NewReader(nil), at(noon))
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		if err == nil && (st.To != address("server.test:22") || st.User != "ada" || st.Own) {
			t.Errorf("%s: %+v", c.name, st)
		}
	}
}

func newServer(floor int64) *Server {
	return &Server{Identity: identity, Replay: NewReplay(floor), User: func(hash [16]byte) (string, Key, bool) {
		return "ada", user, hash == UserHash(user)
	}}
}

// readAll opens what is there; the rest must be an end.
func readAll(o *Opener, in []byte) (out string, err error) {
	for need := o.Need(); need > 0 && len(in) >= need; need = o.Need() {
		plain, err := o.Open(in[:need])
		if err != nil {
			return out, err
		}
		out, in = out+string(plain), in[need:]
	}
	if len(in) > 0 {
		return out, io.ErrUnexpectedEOF
	}
	return out, nil
}
