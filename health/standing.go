package health

import (
	"fmt"
	"time"
)

// A standing is a verdict with what the next one depends on.
type standing struct {
	State  State
	Reason Reason
	why    string
	since  time.Duration // of the state
	sound  time.Duration // since when it was alive before a doubt, 0 if it was not

	turned  time.Duration // when the reason last changed
	deaf    bool          // probes say nothing, until one is answered
	bad     time.Duration // when there was last a fault
	amnesty time.Duration // when it was last dead, or all links were silent: what was lost before counts no more
	falls   int           // how often it died without being steady between
	fell    time.Duration
	rose    time.Duration // when it last came back
}

// from returns the standing with since when it is in its next state. A doubt that
// passed soon has changed nothing; that no link heard the relay has.
func (s standing) from(next State, now time.Duration) standing {
	switch {
	case next == Alive && s.State == Doubtful && s.Reason != RelaySilent && s.sound > 0 && now-s.since < passing:
		s.since = s.sound
		return s
	case next == Doubtful && s.State == Alive:
		s.sound = s.since
	default:
		s.sound = 0
	}
	s.since = now
	return s
}

// hold is how long the link stays dead at least.
func (s standing) hold() time.Duration {
	if s.falls == 0 {
		return 0
	}
	return min(firstHold<<min(s.falls-1, 10), longestHold)
}

// calm returns how long a link has to be without that fault.
func (r Reason) calm() time.Duration {
	if r == Slow || r == Lossy {
		return longCalm
	}
	return calm
}

// evidence says in words why.
func evidence(o *observed, s standing, now time.Duration) string {
	ms := func(d time.Duration) string { return d.Round(time.Millisecond).String() }
	last := "nothing heard yet"
	if h := max(o.heard, o.answer); h > 0 {
		last = "last heard " + ms(now-h) + " ago"
	}
	switch s.Reason {
	case Unheard:
		return "no probe was answered yet"
	case NoAnswers:
		if o.refused > o.answer {
			return "the relay's host refuses probes; the traffic has to tell"
		}
		return fmt.Sprintf("%d probes in a row were not answered; %s; the traffic has to tell", o.unanswered, last)
	case Missed:
		if o.run == 1 {
			return "a probe missed, " + last
		}
		return fmt.Sprintf("%d probes in a row missed, %s", o.run, last)
	case Lossy:
		return fmt.Sprintf("%d of the last %d probes lost", o.lost, o.decided)
	case Slow:
		return fmt.Sprintf("round trip %s, least %s", ms(o.rtt), ms(o.min))
	case RelaySilent:
		return fmt.Sprintf("%d probes in a row missed, %s, and no other link hears the relay", o.run, last)
	case Silent:
		if o.run == 0 { // it was held down, and has missed one meanwhile
			return fmt.Sprintf("some probes are answered, %s; dead for the next %s at least", last, s.hold())
		}
		return fmt.Sprintf("%d probes in a row missed in %s, %s; dead for the next %s at least", o.run, ms(now-o.runFrom), last, s.hold())
	case HeldDown:
		return fmt.Sprintf("answers, but died %d times of late; held for %s", s.falls, ms(s.fell+s.hold()-now))
	}
	return fmt.Sprintf("probes are answered, round trip %s", ms(o.rtt))
}
