package join

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// redacted stands for a secret wherever it is printed.
const redacted = "…"

// A Secret is what an account proves itself with: the SOCKS password, in its text
// form, and the Shadowsocks user key, as bytes. Every way to print it (fmt,
// slog, JSON and other text encodings) yields "…"; only [Secret.Text] does not. That holds
// for fields whose name is exported: fmt calls no method of an unexported one.
type Secret [16]byte

// base64url is RFC 4648 section 5 without padding, and refuses stray bits, so that
// a value has one text only.
var base64url = base64.RawURLEncoding.Strict()

// ParseSecret reads the text form. Its error does not show the text.
func ParseSecret(text string) (Secret, error) {
	b, err := base64url.DecodeString(text)
	switch {
	case err != nil:
		return Secret{}, errors.New("secret is not base64url without padding")
	case len(b) != len(Secret{}):
		return Secret{}, fmt.Errorf("secret has %d bytes, want %d", len(b), len(Secret{}))
	}
	return Secret(b), nil
}

// Text returns the secret as base64url without padding, 22 letters: the form of
// join links and SOCKS passwords. It is for places that must have it, never for
// logs.
func (s Secret) Text() string { return base64url.EncodeToString(s[:]) }

// String returns "…".
func (s Secret) String() string { return redacted }

// Format writes "…" whatever the verb, where %x would else show the bytes.
func (s Secret) Format(f fmt.State, verb rune) { io.WriteString(f, redacted) }

// LogValue returns "…" for slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns "…" for encoders such as JSON. What must keep a secret
// writes [Secret.Text] itself.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
