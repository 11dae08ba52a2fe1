package socks

import (
	"io"

	"tributary/proxy"
)

// bufferSize, chosen by us, is what one read of a handshake may take: the longest
// possible one (257+513+262 bytes) or, behind a usual one, a browser's ClientHello
// (about 1.9 KiB with post-quantum keys), so that early data is whole.
const bufferSize = 3 << 10

// An input reads a handshake in as few reads as possible, and holds the replies
// back until the client may be waiting for them: that is between two messages,
// when nothing is left to read.
type input struct {
	c      proxy.Conn
	buf    []byte
	unread []byte // part of buf
	out    []byte // replies
}

func newInput(c proxy.Conn, first []byte) *input {
	buf := make([]byte, max(bufferSize, len(first)))
	return &input{c: c, buf: buf, unread: buf[:copy(buf, first)]}
}

// Read reads from the buffer, and from the connection if that is empty.
func (in *input) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if err := in.fill(); err != nil {
		return 0, err
	}
	n := copy(p, in.unread)
	in.unread = in.unread[n:]
	return n, nil
}

// peek returns the next byte, which stays unread.
func (in *input) peek() (byte, error) {
	if err := in.fill(); err != nil {
		return 0, err
	}
	return in.unread[0], nil
}

// flush sends the replies if a client that goes step by step could be waiting for
// them. It is called between two messages.
func (in *input) flush() error {
	if len(in.unread) > 0 || len(in.out) == 0 {
		return nil
	}
	out := in.out
	in.out = nil
	_, err := in.c.Write(out)
	return err
}

// fill reads once if the buffer is empty.
func (in *input) fill() error {
	if len(in.unread) > 0 {
		return nil
	}
	n, err := in.c.Read(in.buf)
	in.unread = in.buf[:n]
	switch {
	case n > 0:
		return nil // an error comes again
	case err == nil:
		return io.ErrNoProgress
	}
	return err
}
