//go:build linux

package lab

import (
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"
	"time"

	"tributary/lab/packet"
)

// A script of packets is written down as events, at ms since some moment.
type scripted struct {
	link          string
	up            bool
	sent, arrived int
	home          string
	flags         packet.Flags
	length        int
	options       []packet.Option
	text          string // the payload's first bytes
}

func events(rows []scripted) (all []Event) {
	epoch := time.Unix(1000, 0)
	relay := netip.MustParseAddrPort("11.100.0.2:8443")
	for _, r := range rows {
		e := Event{Link: r.link, Up: r.up, Length: max(r.length, len(r.text))}
		e.Sent = epoch.Add(time.Duration(r.sent) * time.Millisecond)
		e.Arrived = epoch.Add(time.Duration(r.arrived) * time.Millisecond)
		e.From, e.To = netip.MustParseAddrPort(r.home), relay
		if !r.up {
			e.From, e.To = e.To, e.From
		}
		e.Flags, e.Options, e.Payload = r.flags, r.options, []byte(r.text)
		all = append(all, e)
	}
	return all
}

const (
	dslHome = "11.1.0.2:40000"
	lteHome = "11.2.0.2:40001"
)

// opening is a connection whose second subflow is there at 140 ms.
func opening(key uint64) []scripted {
	sum := sha256.Sum256(binary.BigEndian.AppendUint64(nil, key))
	token := binary.BigEndian.Uint32(sum[:])
	capable := []packet.Option{{Subtype: packet.Capable}}
	join := []packet.Option{{Subtype: packet.Join}}
	return []scripted{
		{link: "dsl", up: true, sent: 0, arrived: 20, home: dslHome, flags: packet.SYN, options: capable},
		{link: "dsl", sent: 20, arrived: 40, home: dslHome, flags: packet.SYN | packet.ACK, options: []packet.Option{{Subtype: packet.Capable, SenderKey: key}}},
		{link: "lte", up: true, sent: 50, arrived: 80, home: lteHome, flags: packet.SYN, options: []packet.Option{{Subtype: packet.Join, Token: token}}},
		{link: "lte", sent: 80, arrived: 110, home: lteHome, flags: packet.SYN | packet.ACK, options: join},
		{link: "lte", up: true, sent: 110, arrived: 140, home: lteHome, flags: packet.ACK, options: join},
	}
}

func TestBundles(t *testing.T) {
	request := func(at int) scripted {
		return scripted{link: "dsl", up: true, sent: at, arrived: at + 20, home: dslHome, flags: packet.ACK, length: 200}
	}
	answer := func(at int) scripted {
		return scripted{link: "lte", sent: at, arrived: at + 30, home: lteHome, flags: packet.ACK, length: 9000}
	}
	for _, row := range []struct {
		name             string
		events           []scripted
		sessions, joined int
	}{
		{"asked when joined", append(opening(7), request(150), answer(170)), 1, 1},
		{"asked before", append(opening(7), request(120), answer(150)), 1, 0},
		{"a later request does not count", append(opening(7), request(120), answer(150), request(300)), 1, 0},
		{"asked again on the same connection", append(opening(7), request(120), answer(150), request(300), answer(350)), 2, 1},
		{"an end between two requests", append(opening(7), request(150), answer(170), request(300), request(310), answer(350)), 2, 2},
		{"never asked", opening(7), 0, 0},
		{"little came back", append(opening(7), request(150)), 0, 0},
	} {
		all := bundles(events(row.events), RelayPort)
		if len(all) != 1 || len(all[0].flows) != 2 || len(all[0].joined) != 1 {
			t.Fatalf("%s: %+v", row.name, all)
		}
		if s, j := allJoined(all, 2); s != row.sessions || j != row.joined {
			t.Errorf("%s: %d sessions, %d joined; want %d and %d", row.name, s, j, row.sessions, row.joined)
		}
	}
	// A token that belongs to nobody, and a flow whose beginning was not seen.
	strange := opening(7)
	strange[2].options[0].Token++
	if all := bundles(events(strange), RelayPort); len(all) != 1 || len(all[0].flows) != 1 {
		t.Errorf("joined by a wrong token: %+v", all)
	}
	if all := bundles(events(opening(7)[3:]), RelayPort); len(all) != 0 {
		t.Errorf("found a connection without its beginning: %+v", all)
	}
	if all := bundles(events(opening(7)), 99); len(all) != 0 {
		t.Errorf("found a connection to another port: %+v", all)
	}
}

func TestSketch(t *testing.T) {
	rows := append(opening(7)[:3],
		scripted{link: "dsl", up: true, sent: 40, arrived: 60, home: dslHome, flags: packet.ACK, text: "\x05\x01\x02"},
		scripted{link: "dsl", sent: 60, arrived: 80, home: dslHome, flags: packet.ACK, text: "\x05\x02"},
		scripted{link: "dsl", up: true, sent: 80, arrived: 100, home: dslHome, flags: packet.ACK, text: "\x01\x01a\x01b"},
		scripted{link: "dsl", sent: 100, arrived: 120, home: dslHome, flags: packet.ACK, text: "\x01\x00"},
		scripted{link: "dsl", up: true, sent: 120, arrived: 140, home: dslHome, flags: packet.ACK, text: "\x05\x01\x00\x03\x01a\x00\x50"},
		scripted{link: "dsl", sent: 140, arrived: 160, home: dslHome, flags: packet.ACK, text: "\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00"},
		scripted{link: "dsl", up: true, sent: 160, arrived: 180, home: dslHome, flags: packet.ACK, text: "GET / "},
		scripted{link: "dsl", sent: 180, arrived: 200, home: dslHome, flags: packet.ACK, text: "HTTP/1.1"},
		scripted{link: "dsl", sent: 190, arrived: 210, home: dslHome, flags: packet.ACK | packet.FIN},
	)
	s, err := socksSketch(events(rows))
	if err != nil {
		t.Fatal(err)
	}
	l := s.ladder([]string{"dsl", "lte"})
	var texts []string
	for _, a := range l.Arrows {
		texts = append(texts, a.Text)
		if a.From == a.To || a.Arrived <= a.Sent || a.Link > 1 {
			t.Errorf("%+v", a)
		}
	}
	want := "SYN, MP_CAPABLE; SYN ACK, MP_CAPABLE; greeting; SYN, MP_JOIN; method; user, password; accepted; CONNECT; opened; GET; answer"
	if got := strings.Join(texts, "; "); got != want {
		t.Errorf("arrows %s\nwant   %s", got, want)
	}
	if len(l.Marks) != 1 || l.Marks[0].At != 200 {
		t.Errorf("%+v", l.Marks)
	}
	if _, err := socksSketch(nil); err == nil {
		t.Error("a sketch of nothing")
	}
	if _, err := warmSketch(nil); err == nil {
		t.Error("a sketch of nothing")
	}
}
