package lab

import (
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
	"slices"
	"time"

	"tributary/lab/packet"
)

// A bundle is a Multipath TCP connection as captured packets show it: its subflows
// are found by the token that each MP_JOIN carries, which is a hash of the key in
// the listener's SYN ACK (RFC 8684 sections 3.1 and 3.2).
type bundle struct {
	began  time.Time        // its first SYN
	joined []time.Time      // when the last packet of each further handshake arrived
	events []Event          // of all subflows, as they were sent
	flows  []netip.AddrPort // of the subflows, at home; the first one first
}

// bundles finds the connections to a relay's port that began while the events
// were captured, in the order of their beginning. Plain TCP counts as one without
// further subflows.
func bundles(events []Event, port uint16) (all []*bundle) {
	of := map[netip.AddrPort]*bundle{}
	byToken := map[uint32]*bundle{}
	joining := map[netip.AddrPort]bool{}
	for _, e := range events {
		home, far := e.From, e.To
		if !e.Up {
			home, far = far, home
		}
		if far.Port() != port {
			continue
		}
		join, isJoin := e.Option(packet.Join)
		switch {
		case e.Up && e.Flags == packet.SYN && isJoin:
			if b := byToken[join.Token]; b != nil && of[home] != b {
				of[home] = b
				b.flows = append(b.flows, home)
				joining[home] = true
			}
		case e.Up && e.Flags == packet.SYN && of[home] == nil:
			b := &bundle{began: e.Sent, flows: []netip.AddrPort{home}}
			of[home] = b
			all = append(all, b)
		}
		b := of[home]
		if b == nil {
			continue
		}
		b.events = append(b.events, e)
		if o, ok := e.Option(packet.Capable); ok && !e.Up && e.Has(packet.SYN|packet.ACK) {
			key := sha256.Sum256(binary.BigEndian.AppendUint64(nil, o.SenderKey))
			byToken[binary.BigEndian.Uint32(key[:])] = b
		}
		if joining[home] && e.Up && isJoin && e.Flags&packet.SYN == 0 {
			joining[home] = false
			b.joined = append(b.joined, e.Arrived)
		}
	}
	return all
}

// answerStarts is how many bytes must have come down before they are a session's
// and no longer a handshake's.
const answerStarts = 8000

// sessions returns when each of the connection's sessions began, of which it may
// carry several one after the other: the request is the last thing that went up
// before the answer. One that got no answer is none.
func (b *bundle) sessions() (began []time.Time) {
	events := slices.Clone(b.events)
	slices.SortStableFunc(events, func(x, y Event) int { return x.Arrived.Compare(y.Arrived) })
	var asked time.Time
	down := 0
	for _, e := range events {
		switch {
		case e.Length == 0:
		case e.Up:
			if asked = e.Sent; down >= answerStarts {
				down = 0
			}
		case down < answerStarts:
			if down += e.Length; down >= answerStarts && !asked.IsZero() {
				began = append(began, asked)
			}
		}
	}
	return began
}

// joinedAt is how many subflows besides the first were there at a time.
func (b *bundle) joinedAt(t time.Time) (n int) {
	for _, at := range b.joined {
		if !at.After(t) {
			n++
		}
	}
	return n
}

// allJoined returns how many sessions the connections carried, and how many of
// them began with so many subflows.
func allJoined(all []*bundle, subflows int) (sessions, joined int) {
	for _, b := range all {
		for _, began := range b.sessions() {
			sessions++
			if 1+b.joinedAt(began) >= subflows {
				joined++
			}
		}
	}
	return sessions, joined
}
