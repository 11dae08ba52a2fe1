//go:build linux

package lab

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// segment builds an IP packet of the given version with a TCP header that has
// these flags and options, and a correct TCP checksum.
func segment(version int, flags byte, options []byte, payload string) []byte {
	for len(options)%4 != 0 {
		options = append(options, optionNOP)
	}
	tcp := make([]byte, 20, 60+len(payload))
	binary.BigEndian.PutUint16(tcp, 1234)
	binary.BigEndian.PutUint16(tcp[2:], 80)
	tcp[12] = byte(20+len(options)) / 4 << 4
	tcp[13] = flags
	tcp = append(append(tcp, options...), payload...)
	var ip []byte
	if version == 4 {
		ip = make([]byte, 20)
		ip[0], ip[9] = 0x45, protoTCP
		copy(ip[12:], []byte{11, 1, 0, 2, 11, 200, 0, 2})
	} else {
		ip = make([]byte, 40)
		ip[0], ip[6] = 0x60, protoTCP
		ip[8], ip[24], ip[39] = 0x2d, 0x2d, 2
	}
	b := append(ip, tcp...)
	binary.BigEndian.PutUint16(b[len(ip)+16:], ^checksum(b, len(ip)))
	return b
}

// checksum sums a TCP segment and the addresses in front of it (RFC 9293 section
// 3.1); with a correct checksum inside it gives 0xffff.
func checksum(b []byte, ipLen int) uint16 {
	sum := uint32(protoTCP + len(b) - ipLen)
	data := append([]byte(nil), b[ipLen-map[int]int{20: 8, 40: 32}[ipLen]:]...)
	if len(data)%2 == 1 {
		data = append(data, 0)
	}
	for i := 0; i < len(data); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(data[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return uint16(sum)
}

func TestStripKeepsTheChecksum(t *testing.T) {
	capable := []byte{optionMPTCP, 12, 0x01, 0x81, 1, 2, 3, 4, 5, 6, 7, 8}
	for name, options := range map[string][]byte{
		"even":  append([]byte{2, 4, 0x05, 0xb4, 4, 2, 1, 1}, capable...),
		"odd":   append([]byte{1, 3, 3, 7}, append([]byte{1}, capable...)...),
		"twice": append(append([]byte{}, capable...), optionMPTCP, 3, 0xff),
	} {
		for version, ipLen := range map[int]int{4: 20, 6: 40} {
			b := segment(version, flagSYN, options, "odd payload")
			if checksum(b, ipLen) != 0xffff {
				t.Fatal("the test's own checksum is wrong")
			}
			before := len(b)
			f := new(filter)
			f.strip.Store(true)
			if !f.pass(b) || len(b) != before {
				t.Fatalf("%s, IPv%d: not passed whole", name, version)
			}
			if at, _ := findOption(tcpHeader(b), optionMPTCP); at >= 0 {
				t.Errorf("%s, IPv%d: an MPTCP option is left at %d", name, version, at)
			}
			if checksum(b, ipLen) != 0xffff {
				t.Errorf("%s, IPv%d: the checksum is wrong", name, version)
			}
			if !bytes.HasSuffix(b, []byte("odd payload")) {
				t.Errorf("%s, IPv%d: the payload changed", name, version)
			}
		}
	}
}

func TestFilterDropsOnlyWhatItShould(t *testing.T) {
	mptcp := []byte{optionMPTCP, 4, 0, 0}
	for _, c := range []struct {
		name    string
		packet  []byte
		silent  bool
		dropSYN bool
		want    bool
	}{
		{"ordinary", segment(4, flagSYN, mptcp, ""), false, false, true},
		{"silent", segment(4, 0, nil, "x"), true, false, false},
		{"MPTCP SYN", segment(4, flagSYN, mptcp, ""), false, true, false},
		{"MPTCP SYN, IPv6", segment(6, flagSYN, mptcp, ""), false, true, false},
		{"MPTCP data", segment(4, 0x10, mptcp, "x"), false, true, true},
		{"plain SYN", segment(4, flagSYN, []byte{2, 4, 5, 0xb4}, ""), false, true, true},
		{"not IP", []byte{0xff, 1, 2}, false, true, true},
		{"empty", nil, false, true, true},
	} {
		f := new(filter)
		f.silent.Store(c.silent)
		f.dropSYN.Store(c.dropSYN)
		if got := f.pass(c.packet); got != c.want {
			t.Errorf("%s: passed %v, want %v", c.name, got, c.want)
		}
	}
}

func TestFilterDropsDatagrams(t *testing.T) {
	for _, version := range []int{4, 6} {
		tcp := segment(version, 0, nil, "x")
		udp := bytes.Clone(tcp)
		udp[map[int]int{4: 9, 6: 6}[version]] = protoUDP
		f := new(filter)
		if !f.pass(udp) {
			t.Error("a datagram was dropped where none is to be")
		}
		f.dropUDP.Store(true)
		if f.pass(udp) || !f.pass(tcp) || !f.pass(udp[:9]) {
			t.Errorf("version %d: other things are dropped than datagrams", version)
		}
	}
}

func FuzzFilter(f *testing.F) {
	f.Add(segment(4, flagSYN, []byte{optionMPTCP, 4, 0, 0}, "payload"))
	f.Add(segment(6, 0x10, []byte{1, optionMPTCP, 3, 9}, ""))
	f.Add(segment(4, flagSYN, []byte{optionMPTCP, 0, 0, 0}, ""))
	f.Add(segment(4, flagSYN, []byte{1, 1, 1, optionMPTCP}, ""))
	f.Fuzz(func(t *testing.T, b []byte) {
		before := bytes.Clone(b)
		strip := new(filter)
		strip.strip.Store(true)
		if !strip.pass(b) {
			t.Fatal("stripping dropped a packet")
		}
		h := tcpHeader(b)
		if h == nil {
			if !bytes.Equal(before, b) {
				t.Fatal("something that is not TCP was changed")
			}
			return
		}
		if at, _ := findOption(h, optionMPTCP); at >= 0 {
			t.Fatalf("an MPTCP option is left at %d", at)
		}
		again := bytes.Clone(b)
		if strip.pass(again); !bytes.Equal(again, b) {
			t.Fatal("stripping twice differs from once")
		}
	})
}
