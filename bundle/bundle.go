// Package bundle decides which part each link plays: which of them carry traffic,
// which stand by, and which are out. It makes up for what the kernel does not see:
//
//   - A link over which nothing comes is out, at once.
//   - The floor: the bundle is never to be slower than its best link alone. A link that
//     costs more than it adds is set aside, and is tried again later and later.
//   - Overflow: a link that costs money, or is to be spared, carries traffic only while
//     those before it are full.
//   - [Renewals]: connections that have lost a link which works join it again.
//
// A [Mind] turns what was observed of all links into a [Part] for each. It knows
// neither clock nor socket: what it remembers is its own, and the time an argument. So
// a day of a line is a list of observations, and its tests are such lists.
package bundle

import (
	"time"

	"tributary/health"
	"tributary/link"
)

// A Thrift says how sparing to be with a link, whatever its mode.
type Thrift uint8

// The degrees of thrift.
const (
	Free  Thrift = iota // as its mode says
	Spare               // only while the others are full: as the mode overflow
	Last                // only if no other works: as the mode backup
)

// An Observation is what is known of one link at one moment.
type Observation struct {
	Link    string
	Mode    link.Mode
	Order   int  // of preference, the first having 0
	Up      bool // the kernel could use it
	Metered bool
	Thrift  Thrift
	// Spared is why Thrift is what it is, for people.
	Spared string

	// Health is what probes and traffic say.
	Health health.State
	Reason health.Reason
	Why    string

	// Probes are what probes of the last moments took.
	Probes Probes
	// Sub is what the kernel says of the subflows over it.
	Sub Subflows
}

// Probes are what the probes of a link say. Times are round trips, 0 where there was
// none.
type Probes struct {
	RTT, Jitter time.Duration // smoothed
	Min         time.Duration // the least of the last minutes
	Low         time.Duration // the least of just now, see [health.Recent]
	Loss        float64       // percent of the last 100
	// Answered and Missed count those of just now.
	Answered, Missed int
}

// Standing returns how long even the quickest packet of just now waited: the queue
// that stands. It is 0 where probes are too few to tell.
func (p Probes) Standing() time.Duration { return max(0, p.Low-p.Min) }

// Subflows are what the subflows over a link did since the observation before.
type Subflows struct {
	Up, Down float64 // bytes of payload per second
	Loss     float64 // percent of what was sent that had to be sent again
	Heard    float64 // segments per second that came, those too that wait for a lost one; 0 is not known
	Queued   uint64  // bytes that wait here to be sent over this link
	// RTT is the round trip as those see it that sent, and Min their least one; 0 where
	// none did.
	RTT, Min time.Duration
}

// A Bundle is all links at one moment, with what connections say as a whole.
type Bundle struct {
	At    time.Duration // since some moment of the past; never less than before
	Span  time.Duration // since the observation before
	Links []Observation
	// Goodput is what became of the traffic: bytes per second in their order, as
	// programs get them.
	GoodputUp, GoodputDown float64
	// Held are bytes that came and wait for earlier ones; Backlog those that programs
	// have written and the relay has not acknowledged.
	Held, Backlog uint64
}

// A Reason says why a link plays its part.
type Reason string

// The reasons, with the role that each leads to.
const (
	Wanted    Reason = "wanted"     // full: nothing is against it
	Needed    Reason = "needed"     // full: the links before it are full
	Trial     Reason = "on trial"   // full: to see whether it still does harm
	Alone     Reason = "alone"      // full: it would stand by, but there is no better one
	ByMode    Reason = "mode"       // backup: its mode says so
	Spared    Reason = "spared"     // backup: its allowance is to last
	NotNeeded Reason = "not needed" // backup: the links before it have room
	Far       Reason = "far"        // backup: the links before it have room, and all would wait for it
	Harmful   Reason = "harmful"    // backup, or out for a moment: the bundle was slower with it
	Tiny      Reason = "tiny"       // backup: too slow beside the others to be of use
	Unheard   Reason = "unheard"    // out for a moment: it has just come, and another link is known already
	Dead      Reason = "dead"       // out: nothing comes through
	Unusable  Reason = "unusable"   // out: the kernel knows no way over it
	SetOff    Reason = "off"        // out: its mode is off
)

// A Part is what a link does, and why.
type Part struct {
	Role   link.Role
	Reason Reason
	Why    string // the evidence when the reason arose, in words
}
