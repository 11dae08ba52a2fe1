package socks

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"

	"tributary/proxy"
)

// Address types of SOCKS5, RFC 1928 section 5.
const (
	typeIPv4 = 1
	typeName = 3
	typeIPv6 = 4
)

// appendAddr appends the address type, the address and the port.
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

// readAddr reads the address and the port behind an address type.
func readAddr(r io.Reader, kind byte) (proxy.Addr, error) {
	var b [255 + 2]byte
	size := 0
	switch kind {
	case typeIPv4:
		size = 4
	case typeIPv6:
		size = 16
	case typeName:
		if err := readRest(r, b[:1]); err != nil {
			return proxy.Addr{}, err
		}
		size = int(b[0])
	default:
		return proxy.Addr{}, &proxy.Error{Reason: proxy.AddressUnsupported, Err: fmt.Errorf("address type %d", kind)}
	}
	if err := readRest(r, b[:size+2]); err != nil {
		return proxy.Addr{}, err
	}
	port := binary.BigEndian.Uint16(b[size:])
	if kind == typeName {
		a, err := proxy.NameAddr(string(b[:size]), port)
		if err != nil {
			return proxy.Addr{}, &proxy.Error{Reason: proxy.NameNotFound, Err: err}
		}
		return a, nil
	}
	ip, _ := netip.AddrFromSlice(b[:size])
	return proxy.IPAddr(netip.AddrPortFrom(ip, port)), nil
}

// readRest fills b from inside a message, where the end of the stream is always
// unexpected.
func readRest(r io.Reader, b []byte) error {
	_, err := io.ReadFull(r, b)
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// failed returns the error of a peer that does not speak the protocol.
func failed(format string, args ...any) error {
	return &proxy.Error{Reason: proxy.Failed, Err: fmt.Errorf(format, args...)}
}
