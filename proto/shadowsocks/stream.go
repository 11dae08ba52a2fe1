package shadowsocks

import (
	"encoding/binary"
	"io"
)

// An Opener reads one direction of a stream. It keeps no bytes: the caller holds
// what has arrived until there is enough of it.
type Opener struct {
	box  *box
	own  bool // a chunk of length zero is the end
	next part
	size int // of the data that comes next

	head func(in []byte) (*box, int, error) // of a response: makes the box, and says the first length
}

// part is what comes next in a direction.
type part uint8

const (
	partHead part = iota
	partLength
	partData
	partEnd // nothing may
)

// Need returns how many bytes the next part takes; 0 is at the end.
func (o *Opener) Need() int {
	switch o.next {
	case partHead:
		return KeySize + responseSize + tagSize
	case partLength:
		return lengthSize
	case partData:
		return o.size + tagSize
	}
	return 0
}

// Open takes the next part, Need bytes of it, and opens it in place. What it
// returns is part of in, and is empty for parts that hold no data of the stream.
// io.EOF is the end of the direction that a gateway or relay of ours sends. After
// an error the stream is of no use.
func (o *Opener) Open(in []byte) ([]byte, error) {
	if o.next == partHead {
		x, size, err := o.head(in)
		if err != nil {
			return nil, err
		}
		o.box, o.size, o.next = x, size, partData
		return nil, nil
	}
	plain, err := o.box.open(in)
	switch {
	case err != nil:
		return nil, err
	case o.next == partLength:
		o.size, o.next = int(binary.BigEndian.Uint16(plain)), partData
		return nil, nil
	case o.size == 0 && o.own:
		o.next = partEnd
		return nil, io.EOF
	}
	o.next = partLength
	return plain, nil
}

// Whole reports whether the direction may end with TCP where the next part would
// begin. Between gateway and relay it may not: there the end is said.
func (o *Opener) Whole() bool { return !o.own && o.next == partLength || o.next == partEnd }

// A Sealer writes one direction of a stream.
type Sealer struct {
	box   *box
	own   bool
	begin func(b, plain []byte) ([]byte, error) // what comes before the first chunk, with the first bytes in it
}

// Seal appends plain in as many chunks as it takes. The first call also appends
// the direction's headers, even for an empty plain.
func (s *Sealer) Seal(b, plain []byte) ([]byte, error) {
	if s.begin != nil {
		begin := s.begin
		s.begin = nil
		return begin(b, plain)
	}
	return s.box.chunks(b, plain), nil
}

// End appends the end of the direction, which is nothing but for gateways and
// relays of ours.
func (s *Sealer) End(b []byte) []byte {
	if !s.own || s.box == nil {
		return b
	}
	return s.box.chunk(b, nil)
}
