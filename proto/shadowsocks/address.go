package shadowsocks

import (
	"encoding/binary"
	"net/netip"

	"tributary/proxy"
)

// Address types, those of SOCKS5 (RFC 1928 section 5).
const (
	typeIPv4 = 1
	typeName = 3
	typeIPv6 = 4
)

// appendAddr appends type, address and port.
func appendAddr(b []byte, a proxy.Addr) []byte {
	switch ip := a.IP(); {
	case a.IsName():
		b = append(b, typeName, byte(len(a.Name())))
		b = append(b, a.Name()...)
	case ip.Is6():
		b = append(b, typeIPv6)
		b = append(b, ip.AsSlice()...)
	case ip.Is4():
		b = append(b, typeIPv4)
		b = append(b, ip.AsSlice()...)
	default:
		b = append(b, typeIPv4, 0, 0, 0, 0)
	}
	return binary.BigEndian.AppendUint16(b, a.Port())
}

// takeAddr takes an address from the start of b and returns the rest.
func takeAddr(b []byte) (a proxy.Addr, rest []byte, err error) {
	if len(b) < 2 {
		return a, nil, ErrFormat
	}
	kind, size := b[0], 0
	b = b[1:]
	switch kind {
	case typeIPv4:
		size = 4
	case typeIPv6:
		size = 16
	case typeName:
		size = int(b[0])
		b = b[1:]
	default:
		return a, nil, ErrFormat
	}
	if len(b) < size+2 {
		return a, nil, ErrFormat
	}
	host, port := b[:size], binary.BigEndian.Uint16(b[size:])
	rest = b[size+2:]
	if kind == typeName {
		a, err = proxy.NameAddr(string(host), port)
		if err != nil {
			return a, nil, ErrFormat
		}
		return a, rest, nil
	}
	ip, _ := netip.AddrFromSlice(host)
	return proxy.IPAddr(netip.AddrPortFrom(ip, port)), rest, nil
}
