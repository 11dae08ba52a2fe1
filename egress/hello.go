package egress

import "encoding/binary"

// Fixed by RFC 8446 and its predecessors.
const (
	recordHandshake  = 22 // section 5.1
	messageHello     = 1  // section 4, client_hello
	extensionEarly   = 42 // section 4.2.10, early_data
	recordHeader     = 5
	handshakeHeader  = 4
	helloFixed       = 2 + 32 // version and random
	maxSession       = 32
	extensionsHeader = 2
)

// replaySafe reports whether b may reach a server twice without harm: it is one
// TLS record that holds one whole ClientHello and nothing else, without early
// data. A server that gets it again makes a second handshake that nobody ends. The
// same cannot be said of an HTTP request, nor of early data, which holds one.
func replaySafe(b []byte) bool {
	if len(b) < recordHeader+handshakeHeader || b[0] != recordHandshake || b[1] != 3 ||
		int(binary.BigEndian.Uint16(b[3:])) != len(b)-recordHeader {
		return false
	}
	b = b[recordHeader:]
	if b[0] != messageHello || int(b[1])<<16|int(binary.BigEndian.Uint16(b[2:])) != len(b)-handshakeHeader {
		return false
	}
	if b = b[handshakeHeader:]; len(b) < helloFixed {
		return false
	}
	session, b, ok := cut(b[helloFixed:], 1)
	if !ok || len(session) > maxSession {
		return false
	}
	if _, b, ok = cut(b, 2); !ok { // cipher suites
		return false
	}
	if _, b, ok = cut(b, 1); !ok { // compression methods
		return false
	}
	extensions, b, ok := cut(b, extensionsHeader)
	if !ok || len(b) > 0 {
		return false
	}
	for len(extensions) > 0 {
		if len(extensions) < 2 || binary.BigEndian.Uint16(extensions) == extensionEarly {
			return false
		}
		if _, extensions, ok = cut(extensions[2:], 2); !ok {
			return false
		}
	}
	return true
}

// cut takes a vector with a length of the given number of bytes, 1 or 2, off b.
func cut(b []byte, size int) (vector, rest []byte, ok bool) {
	if len(b) < size {
		return nil, nil, false
	}
	n := int(b[0])
	if size == 2 {
		n = int(binary.BigEndian.Uint16(b))
	}
	if b = b[size:]; len(b) < n {
		return nil, nil, false
	}
	return b[:n], b[n:], true
}
