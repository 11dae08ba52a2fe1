package proxy

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// MaxName is the longest host name an Addr can hold, in bytes: SOCKS5 counts it
// in one byte (RFC 1928 section 5), and DNS ends at 253.
const MaxName = 255

// An Addr is where a client wants to go: a host name or an IP address, and a
// port. The zero Addr is not valid. Addr is comparable.
type Addr struct {
	name string
	ip   netip.Addr
	port uint16
}

// IPAddr returns the Addr of an IP address and port. An IPv4 address mapped into
// IPv6 is unmapped, so that equal destinations compare equal.
func IPAddr(ap netip.AddrPort) Addr {
	return Addr{ip: ap.Addr().Unmap().WithZone(""), port: ap.Port()}
}

// NameAddr returns the Addr of a host name and port. A name that is an IP
// literal, which clients do send in SOCKS' domain form, becomes that IP address.
// It fails on an empty or over-long name and on bytes that no host name has.
func NameAddr(name string, port uint16) (Addr, error) {
	if ip, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(name, "["), "]")); err == nil {
		return IPAddr(netip.AddrPortFrom(ip, port)), nil
	}
	switch {
	case name == "":
		return Addr{}, errors.New("empty host name")
	case len(name) > MaxName:
		return Addr{}, fmt.Errorf("host name of %d bytes, at most %d are allowed", len(name), MaxName)
	}
	for i := range len(name) {
		if c := name[i]; c <= ' ' || c == 0x7f || strings.IndexByte("/\\@:[]?#\"<>", c) >= 0 {
			return Addr{}, fmt.Errorf("byte %#02x in a host name", c)
		}
	}
	return Addr{name: name, port: port}, nil
}

// ParseAddr reads "host:port", with an IPv6 literal in brackets.
func ParseAddr(s string) (Addr, error) {
	host, p, err := net.SplitHostPort(s)
	if err != nil {
		return Addr{}, fmt.Errorf("address %q: want host:port", s)
	}
	port, err := strconv.ParseUint(p, 10, 16)
	if err != nil {
		return Addr{}, fmt.Errorf("address %q: port is not a number from 0 to 65535", s)
	}
	a, err := NameAddr(host, uint16(port))
	if err != nil {
		return Addr{}, fmt.Errorf("address %q: %w", s, err)
	}
	return a, nil
}

// IsValid reports whether a names a host.
func (a Addr) IsValid() bool { return a.name != "" || a.ip.IsValid() }

// IsName reports whether a holds a host name that is still to be resolved.
func (a Addr) IsName() bool { return a.name != "" }

// Name returns the host name, or "" where a is an IP address.
func (a Addr) Name() string { return a.name }

// IP returns the IP address; it is not valid where a is a host name.
func (a Addr) IP() netip.Addr { return a.ip }

// Port returns the port.
func (a Addr) Port() uint16 { return a.port }

// Host returns the name, or the IP address in text without brackets.
func (a Addr) Host() string {
	if a.IsName() {
		return a.name
	}
	if a.ip.IsValid() {
		return a.ip.String()
	}
	return ""
}

// String returns "host:port", with an IPv6 literal in brackets.
func (a Addr) String() string {
	return net.JoinHostPort(a.Host(), strconv.Itoa(int(a.port)))
}
