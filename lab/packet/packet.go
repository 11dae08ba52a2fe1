// Package packet decodes what the lab's links carry, as far as a drawing of a
// connection needs it: addresses, flags, the length of the payload and the
// Multipath TCP options (RFC 8684).
package packet

import (
	"encoding/binary"
	"net/netip"
	"strings"
)

// Fixed by RFC 791, RFC 8200, RFC 9293 and RFC 8684.
const (
	protocolTCP = 6
	protocolUDP = 17
	optionEnd   = 0
	optionNOP   = 1
	optionMPTCP = 30
)

// Flags are those of a TCP header.
type Flags uint8

// The flags of RFC 9293 section 3.1 that a drawing shows.
const (
	FIN Flags = 1 << iota
	SYN
	RST
	PSH
	ACK
)

// A Subtype is that of an MPTCP option (RFC 8684 section 8, table 7).
type Subtype uint8

// The subtypes.
const (
	Capable Subtype = iota
	Join
	DSS
	AddAddr
	RemoveAddr
	Prio
	Fail
	FastClose
	TCPRst
)

func (s Subtype) String() string {
	names := [...]string{"MP_CAPABLE", "MP_JOIN", "DSS", "ADD_ADDR", "REMOVE_ADDR", "MP_PRIO", "MP_FAIL", "MP_FASTCLOSE", "MP_TCPRST"}
	if int(s) < len(names) {
		return names[s]
	}
	return "MPTCP"
}

// A TCP is one packet of TCP.
type TCP struct {
	From, To netip.AddrPort
	Flags    Flags
	Seq, Ack uint32
	Window   uint16 // as it is in the header
	// Payload shares the packet's memory. What is missing of it is not in its length.
	Payload []byte
	// Options are the MPTCP options, in order.
	Options []Option
}

// An Option is an MPTCP option.
type Option struct {
	Subtype Subtype
	// SenderKey is in an MP_CAPABLE that has one: that of a SYN ACK holds the
	// listener's (RFC 8684 section 3.1).
	SenderKey uint64
	// Token is in the MP_JOIN of a SYN: that of the connection to join, at the
	// listener (section 3.2).
	Token uint32
	// DataFIN is in a DSS: the last byte of the connection (section 3.3.3).
	DataFIN bool
	// Mapped says that a DSS maps Length bytes of payload from DataSeq on, and Acked
	// that DataAck is the next byte wanted (section 3.3). Both are the lower half of
	// what the option may have whole.
	Mapped, Acked    bool
	DataSeq, DataAck uint32
	Length           uint16
}

// Decode reads an IPv4 or IPv6 packet. It reports false for what is not TCP, for
// later fragments, for IPv6 with extension headers and for what is cut short.
func Decode(b []byte) (TCP, bool) {
	var p TCP
	var from, to netip.Addr
	switch {
	case len(b) >= 20 && b[0]>>4 == 4:
		head, all := int(b[0]&15)*4, int(binary.BigEndian.Uint16(b[2:]))
		if b[9] != protocolTCP || binary.BigEndian.Uint16(b[6:])&0x1fff != 0 || head < 20 || all < head || all > len(b) {
			return p, false
		}
		from, to = netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20]))
		b = b[head:all]
	case len(b) >= 40 && b[0]>>4 == 6:
		all := 40 + int(binary.BigEndian.Uint16(b[4:]))
		if b[6] != protocolTCP || all > len(b) {
			return p, false
		}
		from, to = netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
		b = b[40:all]
	default:
		return p, false
	}
	if len(b) < 20 {
		return p, false
	}
	head := int(b[12]>>4) * 4
	if head < 20 || head > len(b) {
		return p, false
	}
	p.From = netip.AddrPortFrom(from, binary.BigEndian.Uint16(b))
	p.To = netip.AddrPortFrom(to, binary.BigEndian.Uint16(b[2:]))
	p.Seq = binary.BigEndian.Uint32(b[4:])
	p.Ack, p.Window = binary.BigEndian.Uint32(b[8:]), binary.BigEndian.Uint16(b[14:])
	p.Flags = Flags(b[13]) & (FIN | SYN | RST | PSH | ACK)
	p.Payload = b[head:]
	p.Options = options(b[20:head])
	return p, true
}

// IsDatagram reports whether an IPv4 or IPv6 packet, a later fragment too, is of
// UDP. IPv6 with extension headers is not recognised.
func IsDatagram(b []byte) bool {
	return len(b) >= 20 && b[0]>>4 == 4 && b[9] == protocolUDP || len(b) >= 40 && b[0]>>4 == 6 && b[6] == protocolUDP
}

// options reads the MPTCP options. It stops at the first that has no right length.
func options(b []byte) (all []Option) {
	for len(b) > 0 {
		if b[0] == optionEnd {
			break
		}
		if b[0] == optionNOP {
			b = b[1:]
			continue
		}
		if len(b) < 2 || b[1] < 2 || int(b[1]) > len(b) {
			break
		}
		o := b[:b[1]]
		if o[0] == optionMPTCP && len(o) >= 3 {
			all = append(all, option(o))
		}
		b = b[b[1]:]
	}
	return all
}

// option reads one, from its kind on.
func option(o []byte) Option {
	m := Option{Subtype: Subtype(o[2] >> 4)}
	switch {
	case m.Subtype == Capable && len(o) >= 12:
		m.SenderKey = binary.BigEndian.Uint64(o[4:])
	case m.Subtype == Join && len(o) == 12:
		m.Token = binary.BigEndian.Uint32(o[4:])
	case m.Subtype == DSS && len(o) >= 4:
		m.DataFIN = o[3]&0x10 != 0
		m.readDSS(o[3], o[4:])
	}
	return m
}

// readDSS reads what the flags of a DSS say is there.
func (m *Option) readDSS(flags byte, b []byte) {
	number := func(present, wide byte) (n uint32, ok bool) {
		if flags&present == 0 {
			return 0, false
		}
		size := 4
		if flags&wide != 0 {
			size = 8
		}
		if len(b) < size {
			return 0, false
		}
		n = binary.BigEndian.Uint32(b[size-4:])
		b = b[size:]
		return n, true
	}
	m.DataAck, m.Acked = number(0x01, 0x02)
	if m.DataSeq, m.Mapped = number(0x04, 0x08); m.Mapped && len(b) >= 6 {
		m.Length = binary.BigEndian.Uint16(b[4:])
	}
}

// Has reports whether all these flags are set.
func (p TCP) Has(f Flags) bool { return p.Flags&f == f }

// Option returns the first option of a subtype.
func (p TCP) Option(s Subtype) (Option, bool) {
	for _, o := range p.Options {
		if o.Subtype == s {
			return o, true
		}
	}
	return Option{}, false
}

// Text names what makes this packet more than an acknowledgement: "SYN ACK,
// MP_JOIN", "FIN". It is empty for plain data and acknowledgements.
func (p TCP) Text() string {
	var words []string
	switch {
	case p.Has(SYN | ACK):
		words = append(words, "SYN ACK")
	case p.Has(SYN):
		words = append(words, "SYN")
	case p.Has(RST):
		words = append(words, "RST")
	case p.Has(FIN):
		words = append(words, "FIN")
	}
	for _, o := range p.Options {
		switch {
		case o.Subtype == DSS && o.DataFIN:
			words = append(words, "DATA_FIN")
		case o.Subtype == Join && p.Has(SYN), o.Subtype == Capable && p.Has(SYN), o.Subtype > DSS:
			words = append(words, o.Subtype.String())
		}
	}
	return strings.Join(words, ", ")
}
