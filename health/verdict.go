package health

import (
	"fmt"
	"time"
)

// A State is what is thought of a link.
type State uint8

// The states. An Unknown link is used as if there were no probes: what its traffic
// tells has to do.
const (
	Unknown State = iota
	Alive
	Doubtful // works badly or may be failing: start elsewhere, ask twice
	Dead     // nothing gets through, while the relay is there
	numStates
)

// String returns the state in one word, as status shows it.
func (s State) String() string {
	if s < numStates {
		return [...]string{"unknown", "alive", "doubtful", "dead"}[s]
	}
	return "invalid"
}

// MarshalText writes a state as String does.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (s *State) UnmarshalText(text []byte) error {
	for *s = range numStates {
		if s.String() == string(text) {
			return nil
		}
	}
	return fmt.Errorf("state of health %q is not known", text)
}

// A Reason says why a link is in its state.
type Reason uint8

// The reasons, with the state that each leads to.
const (
	Unheard     Reason = iota // Unknown: has answered nothing yet
	NoAnswers                 // Unknown: probes are not answered here, or no longer, though the link may work
	Answers                   // Alive: probes are answered
	Missed                    // Doubtful: the last probes were not answered in time
	Lossy                     // Doubtful: 5 % of the probes or more get lost
	Slow                      // Doubtful: round trips take more than twice the least one and 200 ms
	RelaySilent               // Doubtful: no link hears the relay
	Silent                    // Dead: probes and traffic are silent, and another link hears the relay
	HeldDown                  // Dead: answers again, but has died too often to be believed at once
	numReasons
)

// String returns the reason in a word or two, as status shows it.
func (r Reason) String() string {
	if r < numReasons {
		return [...]string{"unheard", "no answers", "answers", "missed", "lossy", "slow", "relay silent", "silent", "held down"}[r]
	}
	return "invalid"
}

// MarshalText writes a reason as String does.
func (r Reason) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (r *Reason) UnmarshalText(text []byte) error {
	for *r = range numReasons {
		if r.String() == string(text) {
			return nil
		}
	}
	return fmt.Errorf("reason of health %q is not known", text)
}

// A Verdict is what is thought of a link, and why.
type Verdict struct {
	State  State
	Reason Reason
	Why    string    // the evidence when the reason arose, in words
	Since  time.Time // of the state, doubts that passed within 15 s aside; zero for a link that is not known
}

// A Decision is a change of a verdict.
type Decision struct {
	At     time.Time
	Link   string
	From   State
	To     State
	Reason Reason
	Why    string
}

// A Status is what is known of a link.
type Status struct {
	Name    string
	Verdict Verdict
	RTT     time.Duration // smoothed, 0 without an answer; so are the next two
	Jitter  time.Duration // mean deviation
	MinRTT  time.Duration // of the last 5 to 10 minutes
	Loss    float64       // percent of the last 100 probes, of a minute at most
	Recent  Recent        // what the very last of them say
	Heard   time.Time     // the last answer or byte of the traffic, zero if never
	Sent    uint64        // probes
	Echoes  uint64        // answers
	Bytes   uint64        // of both, with their IP and UDP headers
	Falls   int           // how often it died without being steady between
	Hold    time.Duration // for how long it stays dead at least, the last time
}
