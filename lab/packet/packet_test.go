package packet

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"
)

// golden are packets written down by hand after the drawings of the RFCs.
var golden = []struct {
	name, hex, text string
	flags           Flags
	payload         int
	check           func(TCP) bool
}{
	{"SYN with MP_CAPABLE, version 1", "4500003000004000400600000b0100020b640002" + "9c40 20fb 00000001 00000000 7002 ffff 0000 0000" + "1e04 0181 01010101",
		"SYN, MP_CAPABLE", SYN, 0, func(p TCP) bool {
			return p.From.String() == "11.1.0.2:40000" && p.To.String() == "11.100.0.2:8443" && p.Options[0].SenderKey == 0
		}},
	{"SYN ACK with the listener's key", "4500003400004000400600000b6400020b010002" + "20fb 9c40 00000001 00000002 8012 ffff 0000 0000" + "1e0c 0181 0102030405060708",
		"SYN ACK, MP_CAPABLE", SYN | ACK, 0, func(p TCP) bool { return p.Options[0].SenderKey == 0x0102030405060708 }},
	{"SYN with MP_JOIN", "4500003400004000400600000b0200020b640002" + "9c41 20fb 00000001 00000000 8002 ffff 0000 0000" + "1e0c 1002 deadbeef 01020304",
		"SYN, MP_JOIN", SYN, 0, func(p TCP) bool { return p.Options[0].Token == 0xdeadbeef }},
	{"data with DSS, IPv6", "60000000 0023 06 40" + strings.Repeat("00", 15) + "01" + strings.Repeat("00", 15) + "02" +
		"0050 9c41 00000007 00000000 8018 ffff 0000 0000" + "01 01 1e0a 2001 00000001 0101" + "616263",
		"", PSH | ACK, 3, func(p TCP) bool {
			o, ok := p.Option(DSS)
			return p.From.String() == "[::1]:80" && p.Seq == 7 && ok && !o.DataFIN && string(p.Payload) == "abc"
		}},
	// 20 bytes of IP, 20 of TCP, 22 and 2 of options, 2 of payload.
	{"data with both sequence numbers", "4500004200004000400600000b6400020b010002" + "20fb 9c40 00000007 00000009 b010 1234 0000 0000" +
		"1e16 200d 00000005 0102030411121314 00000001 0002 0101" + "6162", "", ACK, 2, func(p TCP) bool {
		o, ok := p.Option(DSS)
		return ok && o.Acked && o.DataAck == 5 && o.Mapped && o.DataSeq == 0x11121314 && o.Length == 2 && p.Ack == 9 && p.Window == 0x1234
	}},
	{"end of the connection", "4500003000004000400600000b0200020b640002" + "9c41 20fb 00000001 00000000 7010 ffff 0000 0000" + "1e04 2010 01010101", "DATA_FIN", ACK, 0, nil},
	{"reset with its reason", "4500002c00004000400600000b0200020b640002" + "9c41 20fb 00000001 00000000 6014 ffff 0000 0000" + "1e04 8004", "RST, MP_TCPRST", RST | ACK, 0, nil},
}

func bytesOf(t testing.TB, text string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestGolden(t *testing.T) {
	for _, row := range golden {
		b := bytesOf(t, row.hex)
		p, ok := Decode(b)
		if !ok || p.Text() != row.text || p.Flags != row.flags || len(p.Payload) != row.payload || row.check != nil && !row.check(p) {
			t.Errorf("%s: %v %q %+v", row.name, ok, p.Text(), p)
		}
		for n := range b {
			if p, ok := Decode(b[:n]); ok {
				t.Errorf("%s: %d of %d bytes give %+v", row.name, n, len(b), p)
			}
		}
	}
}

func TestOthers(t *testing.T) {
	good := bytesOf(t, golden[0].hex)
	for name, change := range map[string]func(b []byte){
		"UDP":             func(b []byte) { b[9] = 17 },
		"later fragment":  func(b []byte) { b[7] = 1 },
		"IP version 5":    func(b []byte) { b[0] = 0x55 },
		"short IP header": func(b []byte) { b[0] = 0x44 },
		"long TCP header": func(b []byte) { b[32] = 0xf0 },
	} {
		b := bytes.Clone(good)
		change(b)
		if p, ok := Decode(b); ok {
			t.Errorf("%s: %+v", name, p)
		}
	}
	b := bytes.Clone(good)
	b[41] = 1 // an option shorter than its own head
	if p, ok := Decode(b); !ok || len(p.Options) != 0 {
		t.Errorf("%+v", p)
	}
}

// FuzzDecode looks that nothing is read beyond the packet, and that what is found
// lies in it.
func FuzzDecode(f *testing.F) {
	for _, row := range golden {
		f.Add(bytesOf(f, row.hex))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, ok := Decode(b)
		if !ok {
			return
		}
		if len(p.Payload) > len(b)-40 || len(p.Options) > 13 || !p.From.IsValid() || !p.To.IsValid() {
			t.Errorf("%+v of %d bytes", p, len(b))
		}
		_ = p.Text()
		again, ok := Decode(append(bytes.Clone(b), 1, 2, 3)) // padding of a lower layer
		if !ok || !bytes.Equal(again.Payload, p.Payload) {
			t.Errorf("padding changes %+v into %+v", p, again)
		}
	})
}

func TestIsDatagram(t *testing.T) {
	for text, want := range map[string]bool{
		"4500001c00004000401100000b0100020b640002" + "9c40 20fb 0008 0000":       true,
		"60000000 0008 11 40" + strings.Repeat("00", 32) + "0050 9c41 0008 0000": true,
		golden[0].hex:                            false,
		golden[3].hex:                            false,
		"4500001c00004000401100000b0100020b6400": false,
		"":                                       false,
	} {
		if got := IsDatagram(bytesOf(t, text)); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}
