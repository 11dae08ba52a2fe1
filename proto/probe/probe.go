// Package probe is the codec of the small datagrams with which a gateway finds
// out whether a link still leads to the relay, and how well.
//
// The gateway sends requests from a link's address; the relay answers each with
// an echo of the same length, so that a forged sender gains nothing by it. Both
// are 52 bytes:
//
//	 0  magic "Tpr", version 1      4
//	 4  type: 1 request, 2 echo     1
//	 5  zero; ignored               3
//	 8  account                     8
//	16  sequence                    4
//	20  sender's time               8
//	28  instance of the relay       8   zero in a request
//	36  first half of HMAC-SHA256  16   over all that is before it
//
// Numbers have their most significant byte first. The account is found by the
// first bytes of a hash of its secret, so that the relay computes one MAC per
// datagram however many accounts it has. Nothing is secret here but the keys: who
// sees the datagrams learns which of them are of one account.
//
// A request that somebody recorded and sends again is answered again. The relay
// does nothing else on hearing it, and an echo fits one request alone.
package probe

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash"
)

// Size is the length of every probe in bytes.
const Size = macAt + macSize

const (
	typeAt     = 4
	accountAt  = 8
	sequenceAt = 16
	timeAt     = 20
	instanceAt = 28
	macAt      = 36
	macSize    = 16

	typeRequest = 1
	typeEcho    = 2

	magic = 'T'<<24 | 'p'<<16 | 'r'<<8 | 1

	idLabel  = "tributary probe id 1"
	keyLabel = "tributary probe 1"
)

// The errors of a datagram that must not be answered, or believed.
var (
	ErrForm = errors.New("probe: not a probe")
	ErrMAC  = errors.New("probe: not of this account")
)

// An ID tells the relay whose probe it is: the first bytes of
// SHA-256("tributary probe id 1" ‖ secret).
type ID [8]byte

// IDOf returns the ID of the account with this secret.
func IDOf(secret [16]byte) ID {
	var b [len(idLabel) + len(secret)]byte // the relay does this for every probe
	copy(b[:], idLabel)
	copy(b[len(idLabel):], secret[:])
	sum := sha256.Sum256(b[:])
	return ID(sum[:])
}

// A Request is what the gateway sends. Both numbers are its own and come back as
// they are.
type Request struct {
	Sequence uint32
	Time     uint64
}

// An Echo is the relay's answer.
type Echo struct {
	Request
	Instance uint64 // drawn anew whenever the relay starts
}

// A Key makes and checks the probes of one account without allocating. It must
// not be used by several goroutines at once.
type Key struct {
	id  ID
	mac hash.Hash
	sum [sha256.Size]byte
}

// NewKey returns the key of the account with this secret: that of the MAC is
// SHA-256("tributary probe 1" ‖ secret).
func NewKey(secret [16]byte) *Key {
	key := sha256.Sum256(append([]byte(keyLabel), secret[:]...))
	return &Key{id: IDOf(secret), mac: hmac.New(sha256.New, key[:])}
}

// Account returns whose request b claims to be. It has no meaning until
// [Key.ReadRequest] has checked it.
func Account(b []byte) (ID, bool) {
	if !formed(b, typeRequest) {
		return ID{}, false
	}
	return ID(b[accountAt:]), true
}

// AppendRequest appends a request to b.
func (k *Key) AppendRequest(b []byte, r Request) []byte {
	return k.append(b, typeRequest, Echo{Request: r})
}

// AppendEcho appends an echo to b.
func (k *Key) AppendEcho(b []byte, e Echo) []byte { return k.append(b, typeEcho, e) }

// ReadRequest reads a datagram that is a request, and fails with [ErrForm] or
// [ErrMAC] on anything else.
func (k *Key) ReadRequest(b []byte) (Request, error) {
	e, err := k.read(b, typeRequest)
	return e.Request, err
}

// ReadEcho reads a datagram that is an echo, and fails with [ErrForm] or [ErrMAC]
// on anything else.
func (k *Key) ReadEcho(b []byte) (Echo, error) { return k.read(b, typeEcho) }

func (k *Key) append(b []byte, kind byte, e Echo) []byte {
	start := len(b)
	b = binary.BigEndian.AppendUint32(b, magic)
	b = append(b, kind, 0, 0, 0)
	b = append(b, k.id[:]...)
	b = binary.BigEndian.AppendUint32(b, e.Sequence)
	b = binary.BigEndian.AppendUint64(b, e.Time)
	b = binary.BigEndian.AppendUint64(b, e.Instance)
	return append(b, k.sign(b[start:])...)
}

func (k *Key) read(b []byte, kind byte) (Echo, error) {
	if !formed(b, kind) {
		return Echo{}, ErrForm
	}
	if !hmac.Equal(k.sign(b[:macAt]), b[macAt:]) || ID(b[accountAt:]) != k.id {
		return Echo{}, ErrMAC
	}
	return Echo{
		Request:  Request{Sequence: binary.BigEndian.Uint32(b[sequenceAt:]), Time: binary.BigEndian.Uint64(b[timeAt:])},
		Instance: binary.BigEndian.Uint64(b[instanceAt:]),
	}, nil
}

func (k *Key) sign(b []byte) []byte {
	k.mac.Reset()
	k.mac.Write(b)
	return k.mac.Sum(k.sum[:0])[:macSize]
}

// formed looks at what needs no key.
func formed(b []byte, kind byte) bool {
	return len(b) == Size && binary.BigEndian.Uint32(b) == magic && b[typeAt] == kind &&
		(kind == typeEcho || binary.BigEndian.Uint64(b[instanceAt:]) == 0)
}
