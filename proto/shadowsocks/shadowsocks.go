// Package shadowsocks speaks Shadowsocks 2022 over TCP (SIP022) with identity
// headers (SIP023) and the method 2022-blake3-aes-128-gcm, both sides.
//
// A client says everything in its first flight: who it is, where to, and the first
// bytes of its stream. So a stream costs one round trip more than TCP's handshake,
// as it would without a relay. The price is that there is no handshake: keys are
// shared beforehand and not forward secret, and a server tells a fresh opening
// from a recorded one by its time and by remembering, see [Replay].
//
//	request   salt | identity | type 0, time, length | address, padding, early data | chunks
//	response  salt | type 1, time, salt of the request, length | data | chunks
//	chunk     length | data
//
// All but the salts is sealed, each part between bars by itself. [Client] and
// [Server] make and read the openings, and are or return what [Sealer] and
// [Opener] describe: the two directions of a stream as bytes.
//
// # Gateways of ours
//
// SIP022 has neither an answer to a request nor an end of a direction. Where a
// client puts [Mark] at the start of the padding, which only the holder of the
// account's key can, both sides agree on three things that no other peer ever
// sees: the first byte of the response's data is an outcome (see [AppendOutcome]),
// a chunk of length zero ends a direction, and an end of TCP without it is a
// cut-off stream.
package shadowsocks

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"lukechampine.com/blake3"
)

// Fixed by SIP022 and SIP023 for 2022-blake3-aes-128-gcm.
const (
	// KeySize is the length of keys and salts.
	KeySize = 16

	// MaxChunk is the most that one chunk may hold.
	MaxChunk = 0xffff

	// HeadSize is the least that the first read of a server must yield: salt,
	// identity header and the request's header of fixed length.
	HeadSize = KeySize + KeySize + fixedSize + tagSize

	// Window is how many seconds a timestamp may be off either way.
	Window = 30

	tagSize      = 16
	lengthSize   = 2 + tagSize
	fixedSize    = 1 + 8 + 2           // type, time, length
	responseSize = 1 + 8 + KeySize + 2 // type, time, salt of the request, length
	maxPadding   = 900

	// sendChunk is the most that we put into one: a receiver can use none of it
	// before it has all, so as much as in a TLS record.
	sendChunk = 16 << 10

	typeRequest  = 0
	typeResponse = 1

	sessionContext  = "shadowsocks 2022 session subkey"
	identityContext = "shadowsocks 2022 identity subkey"
)

// Mark at the start of a request's padding says that the client is a gateway of
// ours. Behind it may be the stream's flow; zeros are none.
const Mark = "tributary/1"

// The errors of a peer that is none, or that must not be answered. A server treats
// them all alike: SIP022 wants that nobody learns from outside which it was.
var (
	ErrShort  = errors.New("shadowsocks: first read is shorter than the headers")
	ErrUser   = errors.New("shadowsocks: unknown account")
	ErrForged = errors.New("shadowsocks: message is not authentic")
	ErrClock  = errors.New("shadowsocks: timestamp is not of now")
	ErrReplay = errors.New("shadowsocks: opening was seen before")
	ErrFormat = errors.New("shadowsocks: malformed header")
)

// A Key is a pre-shared key. Do not print it.
type Key [KeySize]byte

// A Salt makes a direction's key its own.
type Salt [KeySize]byte

// IdentityKey returns the relay's identity key (iPSK in SIP023), which all its
// accounts share: the first 16 bytes of SHA-256("tributary shadowsocks identity 1"
// || pin). It comes from the pin, so a join link needs no field for it. It hides
// the account's name and authenticates nobody: that is the account's key's part.
func IdentityKey(pin [32]byte) Key {
	sum := sha256.Sum256(append([]byte("tributary shadowsocks identity 1"), pin[:]...))
	return Key(sum[:KeySize])
}

// UserHash returns what an identity header names a user by, the first half of the
// BLAKE3 hash of the user's key (SIP023).
func UserHash(user Key) [KeySize]byte {
	sum := blake3.Sum256(user[:])
	return [KeySize]byte(sum[:KeySize])
}

// subkey derives a key for one salt.
func subkey(context string, psk Key, salt Salt) (out Key) {
	blake3.DeriveKey(out[:], context, append(psk[:], salt[:]...))
	return out
}

// identityBlock returns the cipher of one identity header. Its one block is
// encrypted by itself, which is safe since every salt has its own key.
func identityBlock(identity Key, salt Salt) cipher.Block {
	key := subkey(identityContext, identity, salt)
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err) // only for a wrong length
	}
	return block
}

// A box seals or opens the parts of one direction, one after the other.
type box struct {
	aead  cipher.AEAD
	nonce [12]byte // counts the parts, little endian
}

func newBox(psk Key, salt Salt) *box {
	key := subkey(sessionContext, psk, salt)
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	return &box{aead: aead}
}

// step returns the nonce of the next part.
func (x *box) step() []byte {
	nonce := x.nonce
	for i := range x.nonce {
		if x.nonce[i]++; x.nonce[i] != 0 {
			break
		}
	}
	return nonce[:]
}

func (x *box) seal(b, plain []byte) []byte { return x.aead.Seal(b, x.step(), plain, nil) }

// open opens a part in place.
func (x *box) open(part []byte) ([]byte, error) {
	plain, err := x.aead.Open(part[:0], x.step(), part, nil)
	if err != nil {
		return nil, ErrForged
	}
	return plain, nil
}

// chunk appends one chunk.
func (x *box) chunk(b, plain []byte) []byte {
	b = x.seal(b, binary.BigEndian.AppendUint16(nil, uint16(len(plain))))
	return x.seal(b, plain)
}

// chunks appends as many chunks as plain needs.
func (x *box) chunks(b, plain []byte) []byte {
	for len(plain) > 0 {
		n := min(len(plain), sendChunk)
		b = x.chunk(b, plain[:n])
		plain = plain[n:]
	}
	return b
}

// readRest fills b from inside a message.
func readRest(r io.Reader, b []byte) error {
	_, err := io.ReadFull(r, b)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return fmt.Errorf("shadowsocks request: %w", err)
	}
	return nil
}
