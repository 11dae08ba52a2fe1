package lab

import (
	"time"

	"tributary/lab/packet"
)

// An Event is a packet of TCP that a link delivered.
type Event struct {
	Link string // its name; "lo" is the loopback of home
	Up   bool   // away from home; on "lo", towards the proxy
	// Sent is when the link took it, Arrived when it handed it over.
	Sent, Arrived time.Time
	packet.TCP
	// Length is that of the payload, of which packet.TCP holds the first bytes only.
	Length int
}

// payloadKept is how much of a payload an Event holds: enough to tell what it is.
const payloadKept = 16
