package account

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// SecretSize is the length of a secret in bytes: the user key of Shadowsocks
// 2022 with AES-128 (SIP022), and too many to guess.
const SecretSize = 16

// hidden is what every way of printing a Secret gives.
const hidden = "…"

// A Secret proves who somebody is: its text is the SOCKS password, its bytes the
// Shadowsocks user key. Format, String, slog and JSON show "…" in its place;
// only [Secret.Text] and [Secret.Key] give it away. The zero Secret is no
// secret and verifies nothing.
type Secret struct {
	// A pointer to a pointer, because fmt prints what is in unexported fields of
	// somebody's struct without asking Format. It follows one pointer where the
	// verb does not suit it, as %s does not, but never two: an address appears,
	// not the key.
	key **[SecretSize]byte
}

func makeSecret(key [SecretSize]byte) Secret {
	p := &key
	return Secret{key: &p}
}

func newSecret() Secret {
	var key [SecretSize]byte
	rand.Read(key[:]) // never fails: it ends the program instead
	return makeSecret(key)
}

// parseSecret reads what Text wrote. Its errors do not repeat the text.
func parseSecret(text string) (Secret, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	switch {
	case err != nil:
		return Secret{}, errors.New("secret is not base64url without padding")
	case len(b) != SecretSize:
		return Secret{}, fmt.Errorf("secret of %d bytes, want %d", len(b), SecretSize)
	}
	return makeSecret([SecretSize]byte(b)), nil
}

// Text returns the secret itself in base64url without padding (RFC 4648 section
// 5), 22 characters, or "" for the zero Secret. Do not log it.
func (s Secret) Text() string {
	if s.key == nil {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString((*s.key)[:])
}

// Key returns the secret's bytes. Do not log them.
func (s Secret) Key() [SecretSize]byte {
	if s.key == nil {
		return [SecretSize]byte{}
	}
	return **s.key
}

// String returns "…".
func (Secret) String() string { return hidden }

// Format prints "…" for every verb.
func (Secret) Format(f fmt.State, _ rune) { io.WriteString(f, hidden) }

// LogValue logs "…".
func (Secret) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText gives "…", for JSON and whatever else encodes text. The account
// file is written through [Secret.Text].
func (Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }
