package shadowsocks

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	mathrand "math/rand/v2"
	"time"

	"tributary/proxy"
)

// earlyMost is how much early data goes with the request's header; more follows in
// chunks, in the same write.
const earlyMost = 32 << 10

// A Client is the client's side of one stream.
type Client struct {
	Sealer // the request: its first Seal is the whole opening
	Opener // the response

	// Flow goes with a request to a relay of ours. It is set before the first Seal.
	Flow proxy.Flow
}

// NewClient makes the client's side of a stream to an address, for an account's
// key at the relay with the identity key. Now is asked when the opening is made
// and when the response comes; it must be the relay's time, to [Window]. Own says
// that the relay is one of ours, and shows it that so is the client.
//
// Nothing is drawn or read until the first Seal, which makes the opening and the
// early data one piece: SIP022 wants it written at once.
func NewClient(identity, user Key, to proxy.Addr, own bool, now func() time.Time) *Client {
	var salt Salt
	rand.Read(salt[:])
	return newClient(identity, user, to, own, now, salt)
}

func newClient(identity, user Key, to proxy.Addr, own bool, now func() time.Time, salt Salt) *Client {
	c := &Client{Opener: Opener{own: own}, Sealer: Sealer{own: own}}
	c.begin = func(b, early []byte) ([]byte, error) {
		c.Sealer.box = newBox(user, salt)
		hash := UserHash(user)
		identityBlock(identity, salt).Encrypt(hash[:], hash[:])
		b = append(append(b, salt[:]...), hash[:]...)
		first := early[:min(len(early), earlyMost)]
		header := appendHeader(nil, to, own, c.Flow, first)
		b = c.Sealer.box.seal(b, appendFixed(nil, typeRequest, now(), nil, len(header)))
		b = c.Sealer.box.seal(b, header)
		return c.Sealer.box.chunks(b, early[len(first):]), nil
	}
	c.head = func(in []byte) (*box, int, error) {
		x := newBox(user, Salt(in))
		plain, err := x.open(in[KeySize:])
		if err != nil {
			return nil, 0, err
		}
		size, err := readFixed(plain, typeResponse, salt[:], now())
		return x, size, err
	}
	return c
}

// appendHeader appends the header of variable length.
//
//	+------+----------+----------+---------+---------+------------+
//	| ATYP | ADDRESS  |   PORT   | PADSIZE | PADDING | EARLY DATA |
//	+------+----------+----------+---------+---------+------------+
//	|  1   | variable |    2     |    2    | 0 - 900 |  variable  |
//	+------+----------+----------+---------+---------+------------+
//
// Without early data SIP022 wants padding, of random length.
func appendHeader(b []byte, to proxy.Addr, own bool, flow proxy.Flow, early []byte) []byte {
	var padding []byte
	if own {
		padding = append(padding, Mark...)
		if flow != (proxy.Flow{}) {
			padding = append(padding, flow[:]...)
		}
	}
	if len(early) == 0 {
		padding = append(padding, make([]byte, 1+mathrand.IntN(maxPadding-len(padding)))...)
	}
	b = appendAddr(b, to)
	b = binary.BigEndian.AppendUint16(b, uint16(len(padding)))
	return append(append(b, padding...), early...)
}

// appendFixed appends a header of fixed length; salt is for responses.
func appendFixed(b []byte, kind byte, now time.Time, salt []byte, size int) []byte {
	b = binary.BigEndian.AppendUint64(append(b, kind), uint64(now.Unix()))
	return binary.BigEndian.AppendUint16(append(b, salt...), uint16(size))
}

// readFixed checks what appendFixed made and returns the length.
func readFixed(b []byte, kind byte, salt []byte, now time.Time) (size int, err error) {
	if b[0] != kind || string(b[9:9+len(salt)]) != string(salt) {
		return 0, ErrFormat
	}
	if off := now.Unix() - timestamp(b); off > Window || off < -Window {
		return 0, ErrClock
	}
	return int(binary.BigEndian.Uint16(b[9+len(salt):])), nil
}

// timestamp returns the time in a header of fixed length. One that no clock shows
// is as far away as can be told from without overflow.
func timestamp(b []byte) int64 {
	return int64(min(binary.BigEndian.Uint64(b[1:]), 1<<62))
}

// AppendOutcome appends what became of a request, the first byte of a response's
// data to a gateway of ours: 0 is an open stream, and its data follows. Else it is
// the reason of a refusal plus one, and nothing follows.
func AppendOutcome(b []byte, refused *proxy.Reason) []byte {
	if refused == nil {
		return append(b, 0)
	}
	return append(b, byte(*refused)+1)
}

// ReadOutcome reads what [AppendOutcome] appends. A refusal is a [*proxy.Error].
func ReadOutcome(r io.Reader) error {
	var b [1]byte
	switch _, err := io.ReadFull(r, b[:]); {
	case errors.Is(err, io.EOF):
		return io.ErrUnexpectedEOF // nothing at all is no answer
	case err != nil:
		return err
	case b[0] == 0:
		return nil
	}
	reason := proxy.Failed
	if n := int(b[0]) - 1; n < len(proxy.Reasons()) {
		reason = proxy.Reason(n)
	}
	return &proxy.Error{Reason: reason, Err: errors.New("relay refuses: " + reason.String())}
}
