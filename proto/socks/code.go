package socks

import "tributary/proxy"

// Reply codes of SOCKS5 (RFC 1928 section 6).
const (
	Succeeded           = 0x00
	generalFailure      = 0x01
	notAllowed          = 0x02
	networkUnreachable  = 0x03
	hostUnreachable     = 0x04
	connectionRefused   = 0x05
	ttlExpired          = 0x06
	commandUnsupported  = 0x07
	addressTypeUnknown  = 0x08
	noAcceptableMethod  = 0xff
	authenticationWrong = 0x01 // RFC 1929: any status but 0
)

// Reply codes of SOCKS4. Its only failure with a meaning of its own is that of
// identification.
const (
	Granted4  = 90
	rejected4 = 91
	noIdent4  = 92
	badIdent4 = 93
)

// codes is the one table from reasons to reply codes.
//
// SOCKS5 has no code for a time-out. 6, "TTL expired", misleads whoever reads it,
// so that a time-out is told as an unreachable host, which is how it looks.
var codes = [...]struct{ v5, v4 byte }{
	proxy.Failed:               {generalFailure, rejected4},
	proxy.NotAllowed:           {notAllowed, rejected4},
	proxy.NetworkUnreachable:   {networkUnreachable, rejected4},
	proxy.HostUnreachable:      {hostUnreachable, rejected4},
	proxy.NameNotFound:         {hostUnreachable, rejected4},
	proxy.Refused:              {connectionRefused, rejected4},
	proxy.TimedOut:             {hostUnreachable, rejected4},
	proxy.CommandUnsupported:   {commandUnsupported, rejected4},
	proxy.AddressUnsupported:   {addressTypeUnknown, rejected4},
	proxy.AuthenticationFailed: {notAllowed, badIdent4},
	proxy.Overloaded:           {generalFailure, rejected4},
	proxy.RelayUnreachable:     {generalFailure, rejected4},
	proxy.Duplicate:            {generalFailure, rejected4},
}

// Code returns the SOCKS5 reply code for a reason. A reason that the table does
// not know is a general failure, never a success.
func Code(r proxy.Reason) byte {
	if int(r) < len(codes) {
		return codes[r].v5
	}
	return generalFailure
}

// Code4 returns the SOCKS4 reply code for a reason.
func Code4(r proxy.Reason) byte {
	if int(r) < len(codes) {
		return codes[r].v4
	}
	return rejected4
}

// Reason returns what a SOCKS5 reply code of a server means. Codes that neither
// RFC 1928 nor we assign are general failures. It is not for [Succeeded].
func Reason(code byte) proxy.Reason {
	switch code {
	case notAllowed:
		return proxy.NotAllowed
	case networkUnreachable:
		return proxy.NetworkUnreachable
	case hostUnreachable:
		return proxy.HostUnreachable
	case connectionRefused:
		return proxy.Refused
	case ttlExpired:
		return proxy.TimedOut
	case commandUnsupported:
		return proxy.CommandUnsupported
	case addressTypeUnknown:
		return proxy.AddressUnsupported
	}
	if r := int(code) - own; r >= 0 && r < len(codes) {
		return proxy.Reason(r)
	}
	return proxy.Failed
}

// Reason4 returns what a SOCKS4 reply code of a server means. It is not for
// [Granted4].
func Reason4(code byte) proxy.Reason {
	if code == noIdent4 || code == badIdent4 {
		return proxy.AuthenticationFailed
	}
	return proxy.Failed
}
