package socks

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"

	"tributary/proxy"
)

// Version4 is the first byte of a SOCKS4 or SOCKS4a request.
const Version4 = 4

// maxUser4 bounds the user of a SOCKS4 request, which the protocol does not; it
// is as long as SOCKS5 allows.
const maxUser4 = 255

// A Message4 is a SOCKS4 request, or a SOCKS4a request where To is a host name.
type Message4 struct {
	Command byte // Connect or Bind
	User    string
	To      proxy.Addr
}

// AppendRequest4 appends a SOCKS4 request, or a SOCKS4a request for a host name.
// IPv6 has no form there: its error has the reason AddressUnsupported.
//
//	+----+----+---------+-------+--------+------+ +----------+------+
//	| VN | CD | DSTPORT | DSTIP | USERID | NULL | | HOSTNAME | NULL |  (4a: DSTIP
//	+----+----+---------+-------+--------+------+ +----------+------+   is 0.0.0.1)
//	| 1  | 1  |    2    |   4   |variable|  1   | | variable |  1   |
//	+----+----+---------+-------+--------+------+ +----------+------+
func AppendRequest4(b []byte, m Message4) ([]byte, error) {
	ip := m.To.IP()
	switch {
	case ip.Is6():
		return b, &proxy.Error{Reason: proxy.AddressUnsupported, Err: errors.New("socks4 request: no form for IPv6")}
	case !m.To.IsValid():
		return b, errors.New("socks4 request: no address")
	case len(m.User) > maxUser4:
		return b, errors.New("socks4 request: user is longer than 255 bytes")
	}
	for i := range len(m.User) {
		if m.User[i] == 0 {
			return b, errors.New("socks4 request: zero byte in the user")
		}
	}
	b = append(b, Version4, m.Command)
	b = binary.BigEndian.AppendUint16(b, m.To.Port())
	if m.To.IsName() {
		b = append(b, 0, 0, 0, 1)
	} else {
		b = append(b, ip.AsSlice()...)
	}
	b = append(b, m.User...)
	b = append(b, 0)
	if m.To.IsName() {
		b = append(b, m.To.Name()...)
		b = append(b, 0)
	}
	return b, nil
}

// ReadRequest4 reads what [AppendRequest4] appends. User and host name end after
// 255 bytes at the latest.
func ReadRequest4(r io.Reader) (Message4, error) {
	var head [8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return Message4{}, fmt.Errorf("socks4 request: %w", err)
	}
	if head[0] != Version4 {
		return Message4{}, failed("socks4 request: version %d", head[0])
	}
	user, err := readString(r, maxUser4)
	if err != nil {
		return Message4{}, fmt.Errorf("socks4 request: user: %w", err)
	}
	m := Message4{Command: head[1], User: user}
	port := binary.BigEndian.Uint16(head[2:])
	if ip := [4]byte(head[4:]); ip[0] != 0 || ip[1] != 0 || ip[2] != 0 || ip[3] == 0 {
		m.To = proxy.IPAddr(netip.AddrPortFrom(netip.AddrFrom4(ip), port))
		return m, nil
	}
	name, err := readString(r, proxy.MaxName)
	if err != nil {
		return Message4{}, fmt.Errorf("socks4a request: host name: %w", err)
	}
	if m.To, err = proxy.NameAddr(name, port); err != nil {
		return Message4{}, &proxy.Error{Reason: proxy.NameNotFound, Err: fmt.Errorf("socks4a request: %w", err)}
	}
	return m, nil
}

// AppendReply4 appends a server's answer. A bound address that is not IPv4 becomes
// 0.0.0.0, but keeps its port.
//
//	+----+----+---------+-------+
//	| VN | CD | DSTPORT | DSTIP |   VN is 0
//	+----+----+---------+-------+
//	| 1  | 1  |    2    |   4   |
//	+----+----+---------+-------+
func AppendReply4(b []byte, code byte, bound netip.AddrPort) []byte {
	b = binary.BigEndian.AppendUint16(append(b, 0, code), bound.Port())
	if ip := bound.Addr().Unmap(); ip.Is4() {
		return append(b, ip.AsSlice()...)
	}
	return append(b, 0, 0, 0, 0)
}

// ReadReply4 reads what [AppendReply4] appends. A refusal is a [*proxy.Error] with
// its [Reason4].
func ReadReply4(r io.Reader) (bound netip.AddrPort, err error) {
	var m [8]byte
	if _, err := io.ReadFull(r, m[:]); err != nil {
		return bound, fmt.Errorf("socks4 reply: %w", err)
	}
	switch code := m[1]; {
	case m[0] != 0 && m[0] != Version4: // some servers put their version there
		return bound, failed("socks4 reply: version %d", m[0])
	case code != Granted4:
		return bound, &proxy.Error{Reason: Reason4(code), Err: fmt.Errorf("socks4: server answers %d: %v", code, Reason4(code))}
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte(m[4:])), binary.BigEndian.Uint16(m[2:])), nil
}

// readString reads up to a zero byte, byte by byte, so as not to read beyond it.
func readString(r io.Reader, limit int) (string, error) {
	b := make([]byte, 0, 32)
	var one [1]byte
	for {
		if err := readRest(r, one[:]); err != nil {
			return "", err
		}
		if one[0] == 0 {
			return string(b), nil
		}
		if len(b) == limit {
			return "", failed("longer than %d bytes", limit)
		}
		b = append(b, one[0])
	}
}
