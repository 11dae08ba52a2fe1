package lab

import (
	"encoding/binary"
	"sync/atomic"
)

// A filter is the hostile part of a link: it swallows packets or, as some
// middleboxes do, rewrites their TCP options. Both directions share one.
type filter struct {
	silent, strip, dropSYN, dropUDP atomic.Bool

	port atomic.Uint32 // the one port that strip and dropSYN are for, or 0
}

const (
	protoTCP    = 6
	protoUDP    = 17
	flagSYN     = 0x02
	optionEnd   = 0
	optionNOP   = 1
	optionMPTCP = 30 // RFC 8684 section 3
)

// pass says whether packet b goes on, and rewrites it if it must.
func (f *filter) pass(b []byte) bool {
	if f.silent.Load() || f.dropUDP.Load() && isUDP(b) {
		return false
	}
	strip, dropSYN := f.strip.Load(), f.dropSYN.Load()
	if !strip && !dropSYN {
		return true
	}
	tcp := tcpHeader(b)
	if tcp == nil || !f.about(tcp) {
		return true
	}
	at, n := findOption(tcp, optionMPTCP)
	if at < 0 {
		return true
	}
	if dropSYN && tcp[13]&flagSYN != 0 {
		return false
	}
	if strip {
		for ; at >= 0; at, n = findOption(tcp, optionMPTCP) {
			blank(tcp, at, n)
		}
	}
	return true
}

// isUDP reports whether a packet is a datagram, save IPv6 with extension headers.
func isUDP(b []byte) bool {
	return len(b) >= 20 && b[0]>>4 == 4 && b[9] == protoUDP || len(b) >= 40 && b[0]>>4 == 6 && b[6] == protoUDP
}

// about reports whether a TCP header is of the port that matters.
func (f *filter) about(tcp []byte) bool {
	port := uint16(f.port.Load())
	return port == 0 || port == binary.BigEndian.Uint16(tcp) || port == binary.BigEndian.Uint16(tcp[2:])
}

// tcpHeader returns the TCP header with its options, or nil where b is something
// else: another protocol, a later fragment, IPv6 with extension headers.
func tcpHeader(b []byte) []byte {
	var tcp []byte
	switch {
	case len(b) >= 20 && b[0]>>4 == 4:
		n := int(b[0]&0x0f) * 4
		if b[9] != protoTCP || binary.BigEndian.Uint16(b[6:])&0x1fff != 0 || n < 20 || n > len(b) {
			return nil
		}
		tcp = b[n:]
	case len(b) >= 40 && b[0]>>4 == 6:
		if b[6] != protoTCP {
			return nil
		}
		tcp = b[40:]
	}
	if len(tcp) < 20 {
		return nil
	}
	n := int(tcp[12]>>4) * 4
	if n < 20 || n > len(tcp) {
		return nil
	}
	return tcp[:n]
}

// findOption returns where option kind starts in a TCP header and its length, or
// a start of -1.
func findOption(tcp []byte, kind byte) (at, n int) {
	for at = 20; at < len(tcp); at += n {
		switch tcp[at] {
		case optionEnd:
			return -1, 0
		case optionNOP:
			n = 1
			continue
		}
		if at+1 >= len(tcp) {
			return -1, 0
		}
		n = int(tcp[at+1])
		if n < 2 || at+n > len(tcp) {
			return -1, 0
		}
		if tcp[at] == kind {
			return at, n
		}
	}
	return -1, 0
}

// blank overwrites n bytes at tcp[at] with NOPs and mends the checksum for each
// (RFC 1624), which spares reading the whole segment.
func blank(tcp []byte, at, n int) {
	sum := uint32(^binary.BigEndian.Uint16(tcp[16:]))
	for i := at; i < at+n; i++ {
		before, after := uint32(tcp[i]), uint32(optionNOP)
		if i%2 == 0 {
			before, after = before<<8, after<<8
		}
		sum += (0xffff - before) + after
		tcp[i] = optionNOP
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	binary.BigEndian.PutUint16(tcp[16:], ^uint16(sum))
}
