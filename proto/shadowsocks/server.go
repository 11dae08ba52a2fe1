package shadowsocks

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"io"
	"time"

	"tributary/proxy"
)

// A Server reads openings.
type Server struct {
	Identity Key
	Replay   *Replay
	// User finds an account by its UserHash.
	User func(hash [KeySize]byte) (name string, key Key, ok bool)
}

// A Stream is the server's side of one stream, with what its opening said.
type Stream struct {
	Sealer // the response; its first Seal also makes the header
	Opener // the rest of the request

	To    proxy.Addr
	User  string
	Early []byte     // the first bytes of the stream
	Rest  []byte     // bytes behind the opening, for the Opener
	Own   bool       // the client is a gateway of ours
	Flow  proxy.Flow // what it calls the stream
}

// Accept reads an opening. First is what one read from the connection gave: SIP022
// wants the headers in one piece, which tells a server from none by nothing. Only
// the header of variable length, whose size a valid client has said by then, is
// read on from r. Now is the time for the check of the timestamp and, later, for
// that of the response.
//
// On every error the caller has to do the same, so that nobody learns how much
// was read: close with a reset.
func (s *Server) Accept(first []byte, r io.Reader, now func() time.Time) (*Stream, error) {
	if len(first) < HeadSize {
		return nil, ErrShort
	}
	salt := Salt(first)
	var hash [KeySize]byte
	identityBlock(s.Identity, salt).Decrypt(hash[:], first[KeySize:2*KeySize])
	name, key, ok := s.User(hash)
	if !ok {
		return nil, ErrUser
	}
	x := newBox(key, salt)
	fixed, err := x.open(bytes.Clone(first[2*KeySize : HeadSize]))
	if err != nil {
		return nil, err
	}
	at := now()
	size, err := readFixed(fixed, typeRequest, nil, at)
	if err != nil {
		return nil, err
	}
	// Before anything else is waited for: a recorded opening ends here at once.
	if err := s.Replay.Check(salt, timestamp(fixed), at); err != nil {
		return nil, err
	}
	st := &Stream{User: name}
	header := make([]byte, size+tagSize)
	n := copy(header, first[HeadSize:])
	st.Rest = bytes.Clone(first[HeadSize+n:])
	if err := readRest(r, header[n:]); err != nil {
		return nil, err
	}
	if header, err = x.open(header); err != nil {
		return nil, err
	}
	if err := st.readHeader(header); err != nil {
		return nil, err
	}
	st.Opener = Opener{box: x, own: st.Own, next: partLength}
	st.Sealer = Sealer{own: st.Own}
	st.begin = func(b, first []byte) ([]byte, error) { return st.respond(b, first, key, salt, now()) }
	return st, nil
}

// readHeader reads the header of variable length.
func (st *Stream) readHeader(b []byte) (err error) {
	if st.To, b, err = takeAddr(b); err != nil {
		return err
	}
	if len(b) < 2 {
		return ErrFormat
	}
	padding := int(binary.BigEndian.Uint16(b))
	if b = b[2:]; padding > maxPadding || padding > len(b) {
		return ErrFormat
	}
	var more []byte
	if more, st.Own = bytes.CutPrefix(b[:padding], []byte(Mark)); st.Own && len(more) >= len(st.Flow) {
		st.Flow = proxy.Flow(more)
	}
	if st.Early = b[padding:]; len(b) == 0 { // neither padding nor data
		return ErrFormat
	}
	return nil
}

// respond appends the response's header, with the first data.
func (st *Stream) respond(b, first []byte, key Key, request Salt, now time.Time) ([]byte, error) {
	var salt Salt
	rand.Read(salt[:])
	st.Sealer.box = newBox(key, salt)
	n := min(len(first), MaxChunk)
	b = append(b, salt[:]...)
	b = st.Sealer.box.seal(b, appendFixed(nil, typeResponse, now, request[:], n))
	b = st.Sealer.box.seal(b, first[:n])
	return st.Sealer.box.chunks(b, first[n:]), nil
}
