package lab

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"tributary/lab/packet"
	"tributary/measure/figure"
)

// A sketch is the packets of one request, on their way to a drawing.
type sketch struct {
	hosts                          []string
	client, gateway, relay, server int       // in hosts
	began, first                   time.Time // the client's SYN and its first byte of the answer
	events                         []Event
}

func (s sketch) check() error {
	switch {
	case s.began.IsZero():
		return errors.New("no packet of the client was captured")
	case s.first.IsZero():
		return errors.New("no answer was captured")
	}
	return nil
}

// together is how close packets of one flow follow each other that are drawn as
// one arrow.
const together = 2 * time.Millisecond

// ladder draws what is more than an acknowledgement, until the first byte.
func (s sketch) ladder(links []string) figure.Ladder {
	l := figure.Ladder{
		Hosts: s.hosts, Links: append(slices.Clone(links), "relay to final server"), Tick: 20,
		Marks: []figure.Mark{{At: tenths(s.first.Sub(s.began)), Text: fmt.Sprintf("first byte after %.0f ms", ms(s.first.Sub(s.began)))}},
	}
	if s.gateway != s.client {
		l.Links = append(l.Links, "at home")
	}
	slices.SortStableFunc(s.events, func(a, b Event) int { return a.Sent.Compare(b.Sent) })
	type key struct {
		link string
		up   bool
		from string
	}
	last := map[key]int{} // the arrow that may still take a packet
	for _, e := range s.events {
		text := label(e)
		if text == "" || e.Sent.Before(s.began) || e.Arrived.After(s.first) {
			continue
		}
		sent := tenths(e.Sent.Sub(s.began))
		k := key{e.Link, e.Up, e.From.String()}
		if i, ok := last[k]; ok && sent-l.Arrows[i].Sent < ms(together) {
			if a := &l.Arrows[i]; !strings.HasSuffix(a.Text, text) {
				a.Text += ", " + text
			}
			continue
		}
		a := figure.Arrow{Sent: sent, Arrived: tenths(e.Arrived.Sub(s.began)), Text: text, Link: slices.Index(links, e.Link)}
		a.From, a.To = s.ends(e)
		if a.Link < 0 {
			a.Link = len(links)
		}
		if e.Link == "lo" {
			a.Link = len(links) + 1
		}
		last[k] = len(l.Arrows)
		l.Arrows = append(l.Arrows, a)
	}
	return l
}

// ends tells between which hosts a packet went.
func (s sketch) ends(e Event) (from, to int) {
	switch e.Link {
	case "server":
		from, to = s.relay, s.server
	case "lo":
		from, to = s.client, s.gateway
	default:
		from, to = s.gateway, s.relay // without a gateway its place is the client's, 0
	}
	if !e.Up {
		from, to = to, from
	}
	return from, to
}

// tenths is a time in ms as exact as a picture is.
func tenths(d time.Duration) float64 {
	return float64(d.Round(100*time.Microsecond).Microseconds()) / 1000
}

// label is what a packet brings to a connection that opens: nothing for
// acknowledgements and ends.
func label(e Event) string {
	if e.Has(packet.SYN) {
		return e.Text()
	}
	return payload(e)
}

// payload names what the first bytes of a payload are, by the protocols that are
// spoken in the lab.
func payload(e Event) string {
	b := e.Payload
	switch {
	case e.Length == 0:
		return ""
	case b[0] == 0x17 && e.Up:
		return "request, in TLS"
	case b[0] == 0x17:
		return "answer, in TLS"
	case bytes.HasPrefix(b, []byte("GET ")):
		return "GET"
	case bytes.HasPrefix(b, []byte("HTTP/")):
		return "answer"
	case b[0] == 5 && e.Up && e.Length < 5:
		return "greeting"
	case b[0] == 5 && e.Up:
		return "CONNECT"
	case b[0] == 5 && e.Length == 2:
		return "method"
	case b[0] == 5:
		return "opened"
	case b[0] == 1 && e.Up:
		return "user, password"
	case b[0] == 1:
		return "accepted"
	}
	return fmt.Sprintf("%d bytes", e.Length)
}
