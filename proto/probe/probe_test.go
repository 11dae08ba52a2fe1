package probe

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"testing"
)

var (
	secret = [16]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}
	asked  = Request{Sequence: 0x01020304, Time: 0x1112131415161718}
	echoed = Echo{asked, 0x2122232425262728}
)

// These bytes are the wire: a change here is another version.
const (
	goldenRequest = "547072010100000085e4ef2d6bb0c13501020304111213141516171800000000000000002a47b07d90c79ce347436dab7daf5868"
	goldenEcho    = "547072010200000085e4ef2d6bb0c1350102030411121314151617182122232425262728b8500e788ff5a6e58e40b391dc6c0f5f"
)

func TestGolden(t *testing.T) {
	k := NewKey(secret)
	request, echo := k.AppendRequest(nil, asked), k.AppendEcho(nil, echoed)
	if got := hex.EncodeToString(request); got != goldenRequest {
		t.Errorf("request\n%s, want\n%s", got, goldenRequest)
	}
	if got := hex.EncodeToString(echo); got != goldenEcho {
		t.Errorf("echo\n%s, want\n%s", got, goldenEcho)
	}
	// The MAC as docs/protocol.md describes it.
	key := sha256.Sum256([]byte("tributary probe 1" + string(secret[:])))
	mac := hmac.New(sha256.New, key[:])
	mac.Write(request[:36])
	if !bytes.Equal(mac.Sum(nil)[:16], request[36:]) {
		t.Error("the MAC is another one")
	}
	id := sha256.Sum256([]byte("tributary probe id 1" + string(secret[:])))
	if !bytes.Equal(id[:8], request[8:16]) {
		t.Error("the account is another one")
	}
}

func TestRoundTrip(t *testing.T) {
	k := NewKey(secret)
	b := k.AppendRequest([]byte("before"), asked)[6:]
	if id, ok := Account(b); !ok || id != IDOf(secret) {
		t.Errorf("account %x, %v", id, ok)
	}
	if r, err := k.ReadRequest(b); r != asked || err != nil {
		t.Errorf("request %v, %v", r, err)
	}
	b = k.AppendEcho(nil, echoed)
	if e, err := k.ReadEcho(b); e != echoed || err != nil {
		t.Errorf("echo %v, %v", e, err)
	}
	if len(b) != Size || Size > 64 {
		t.Errorf("%d bytes", len(b))
	}
}

// Neither is taken for the other, nor with a bit, a byte or a key that is wrong.
func TestRefused(t *testing.T) {
	k := NewKey(secret)
	request, echo := k.AppendRequest(nil, asked), k.AppendEcho(nil, echoed)
	if _, err := k.ReadRequest(echo); err != ErrForm {
		t.Errorf("an echo as a request: %v", err)
	}
	if _, err := k.ReadEcho(request); err != ErrForm {
		t.Errorf("a request as an echo: %v", err)
	}
	if _, ok := Account(echo); ok {
		t.Error("an echo has an account to answer")
	}
	for i := range Size * 8 {
		request[i/8] ^= 1 << (i % 8)
		if _, err := k.ReadRequest(request); !errors.Is(err, ErrForm) && !errors.Is(err, ErrMAC) {
			t.Errorf("bit %d: %v", i, err)
		}
		request[i/8] ^= 1 << (i % 8)
	}
	for n := range Size {
		if _, err := k.ReadRequest(request[:n]); err != ErrForm {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	if _, err := k.ReadRequest(append(request, 0)); err != ErrForm {
		t.Errorf("a byte too many: %v", err)
	}
	other := secret
	other[15]++
	if _, err := NewKey(other).ReadRequest(request); err != ErrMAC {
		t.Errorf("another account: %v", err)
	}
}

func TestNoAllocation(t *testing.T) {
	k := NewKey(secret)
	request, b := k.AppendRequest(nil, asked), make([]byte, 0, Size)
	if n := testing.AllocsPerRun(100, func() {
		Account(request)
		r, _ := k.ReadRequest(request)
		b = k.AppendEcho(b[:0], Echo{r, 1})
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// What is taken is exactly what its fields make.
func FuzzRead(f *testing.F) {
	k := NewKey(secret)
	f.Add(k.AppendRequest(nil, asked), false)
	f.Add(k.AppendEcho(nil, echoed), false)
	f.Add(make([]byte, Size), true)
	f.Add([]byte{}, false)
	f.Fuzz(func(t *testing.T, b []byte, sign bool) {
		if sign && len(b) >= macAt { // or no input would ever pass
			copy(b[accountAt:], k.id[:])
			b = append(b[:macAt:macAt], k.sign(b[:macAt])...)
		}
		if r, err := k.ReadRequest(b); err == nil {
			same(t, b, k.AppendRequest(nil, r))
		}
		if e, err := k.ReadEcho(b); err == nil {
			same(t, b, k.AppendEcho(nil, e))
		}
		Account(b)
	})
}

// same ignores the four bytes that a later version may use.
func same(t *testing.T, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got[:5], want[:5]) || !bytes.Equal(got[accountAt:macAt], want[accountAt:macAt]) {
		t.Errorf("%x was read, %x is made", got, want)
	}
}

func BenchmarkAnswer(b *testing.B) {
	k := NewKey(secret)
	request, out := k.AppendRequest(nil, asked), make([]byte, 0, Size)
	b.ReportAllocs()
	for b.Loop() {
		r, err := k.ReadRequest(request)
		if err != nil {
			b.Fatal(err)
		}
		out = k.AppendEcho(out[:0], Echo{r, 1})
	}
}
