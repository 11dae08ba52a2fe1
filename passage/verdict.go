package passage

import (
	"net/netip"
	"time"
)

// A Verdict says whether Multipath TCP passes an access link on its way to one port
// of the relay.
type Verdict uint8

// The verdicts. While one is Unknown the link is used as if it were OK.
const (
	Unknown  Verdict = iota // nothing was seen yet, or too long ago
	OK                      // connections begin over it, or join over it, as MPTCP
	Stripped                // something removes the MPTCP options: it is plain TCP that passes
	Blocked                 // what has MPTCP options in its SYN is dropped, plain TCP passes
	Refused                 // connections may begin over it, but not join over it
	Shut                    // not even plain TCP gets to this port, though the link works
	numVerdicts
)

// String returns the verdict in one word, as status shows it.
func (v Verdict) String() string {
	if v < numVerdicts {
		return [...]string{"unknown", "ok", "stripped", "blocked", "refused", "shut"}[v]
	}
	return "invalid"
}

// Bad reports whether a link is to be kept out of MPTCP connections.
func (v Verdict) Bad() bool { return v >= Stripped && v < numVerdicts }

// Plain reports whether connections over the link are to be opened as plain TCP:
// then no SYN of theirs is dropped, and no option is missed.
func (v Verdict) Plain() bool { return v == Stripped || v == Blocked }

// Why returns the verdict in a sentence for people, "" for those that need none.
func (v Verdict) Why() string {
	switch v {
	case Stripped:
		return "something on the way removes MPTCP options: used as plain TCP, and only if there is no other link"
	case Blocked:
		return "something on the way drops packets with MPTCP options: used as plain TCP, and only if there is no other link"
	case Refused:
		return "subflows over it do not join: connections may begin over it, but do not share it"
	case Shut:
		return "the relay's port cannot be reached over it"
	}
	return ""
}

// Evidence is one thing that was seen of a link.
type Evidence uint8

// What traffic shows. A subflow proves something when it is new: one that stands says
// nothing of what would become of another today.
const (
	Joined Evidence = iota // a further subflow over it was established
	Began                  // the first subflow of an MPTCP connection was
	Fell                   // a connection over it that was to be MPTCP became plain TCP
	Missed                 // a connection had the time to join over it and has not
	Late                   // it did not answer a connection when another link did
)

// What probes show.
const (
	passed   Evidence = iota + 16 // MPTCP, after data both ways
	stripped                      // answered as plain TCP
	lost                          // not answered, though plain TCP was
	shut                          // neither was answered, though the link works
	nothing                       // neither was answered: the link or the relay is away
)

// Chosen by us.
const (
	// enough is how many misses, falls or lost probes in a row are not chance: of a
	// link that loses a fifth of all packets, one join of three fails.
	enough     = 3
	enoughLost = 2

	// suspectPace is the least time between two probes that something asked for, and
	// meteredSuspectPace the same where bytes cost, but for the one that confirms.
	suspectPace        = time.Second
	meteredSuspectPace = 15 * time.Second

	// badPace is how often a link is asked that MPTCP does not pass, so that it is used
	// again within a minute of its repair; patientPace after lateAfter, and
	// meteredPace where bytes cost: a probe takes 0.2 to 1 kB.
	badPace     = 20 * time.Second
	patientPace = 45 * time.Second
	meteredPace = 5 * time.Minute
	lateAfter   = 30 * time.Minute

	// A trial of a link that refuses costs more: each living connection sends a SYN
	// over it. After freeTrials in a row that came to nothing the
	// wait doubles each time, up to refusedPace, or meteredRefusedPace where bytes cost.
	freeTrials         = 3
	refusedPace        = 30 * time.Minute
	meteredRefusedPace = 2 * time.Hour

	// expiry is how long a good verdict lasts without anything new.
	expiry = time.Hour

	// trialTime is what the kernel gets to join living connections to a link that is
	// tried again. It takes about a second.
	trialTime = 6 * time.Second
)

// A record is what is known of one way: from a local address to a port. Times are
// since the Monitor's start.
type record struct {
	verdict Verdict
	since   time.Duration // of the verdict
	via     [2]netip.Addr // see Link

	proved  time.Duration // when anything last was in favour of it
	passed  time.Duration // when a probe last was
	asked   time.Duration // when it was last probed, negative is never
	failing time.Duration // when the present row of misses began

	missed, fell, lost, shut int // in a row
	refusals                 int // since anything joined
	suspect                  bool
	trial                    time.Duration // until when a link that refused is tried, or 0
}

// hear returns the record after evidence.
func (r record) hear(e Evidence, now time.Duration) record {
	switch e {
	case Joined:
		r.refusals = 0
		return r.good(now)
	case Began:
		r.fell, r.lost, r.shut = 0, 0, 0
		if r.verdict == Unknown && r.trial == 0 || r.verdict == OK {
			missed, failing := r.missed, r.failing
			r = r.good(now)
			r.missed, r.failing = missed, failing
		}
	case Fell:
		if r.verdict.Plain() {
			return r // nothing else was asked for
		}
		if r.fell++; r.fell >= enough {
			return r.become(Stripped, now)
		}
		r.suspect = true
	case Missed:
		if r.missed++; r.missed == 1 {
			r.failing = now
		}
		r.suspect = true
		return r.refused(now)
	case Late:
		r.suspect = true
	default:
		return r.answer(e, now)
	}
	return r
}

// answer takes what a probe found.
func (r record) answer(e Evidence, now time.Duration) record {
	r.suspect = false
	if e != lost {
		r.lost = 0
	}
	if e != shut {
		r.shut = 0
	}
	switch e {
	case passed:
		r.passed, r.fell = now, 0
		switch {
		case r.verdict == Refused: // only joining shows whether it does
			r = r.become(Unknown, now)
			r.trial, r.missed, r.failing = now+trialTime, enough-1, now
		case r.missed >= enough:
			return r.refused(now)
		case r.trial == 0:
			missed, failing := r.missed, r.failing
			r = r.good(now)
			r.missed, r.failing = missed, failing
		}
	case stripped:
		return r.become(Stripped, now)
	case lost:
		if r.lost++; r.lost >= enoughLost || r.verdict.Bad() {
			return r.become(Blocked, now)
		}
		r.suspect = true
	case shut:
		if r.shut++; r.shut >= enoughLost {
			return r.become(Shut, now)
		}
		r.suspect = true
	}
	return r
}

// good returns the record of a way that MPTCP has just passed.
func (r record) good(now time.Duration) record {
	r = r.become(OK, now)
	r.missed, r.fell, r.lost, r.shut, r.suspect, r.trial, r.proved = 0, 0, 0, 0, false, 0, now
	return r
}

// refused decides whether joins that do not come are the link's doing: enough have
// failed in a row, and a probe has shown since that MPTCP passes otherwise.
func (r record) refused(now time.Duration) record {
	if r.missed < enough || r.passed == 0 || r.passed < r.failing || r.verdict.Bad() {
		return r
	}
	r = r.become(Refused, now)
	r.suspect = false
	r.refusals++
	return r
}

func (r record) become(v Verdict, now time.Duration) record {
	if r.verdict != v {
		r.verdict, r.since = v, now
	}
	if v.Bad() { // what led to it says nothing of the time after a repair
		r.trial, r.missed, r.fell = 0, 0, 0
	}
	return r
}

// expire returns the record at a later time, without anything new.
func (r record) expire(now time.Duration) record {
	if r.trial > 0 && now >= r.trial {
		r.trial = 0 // no connection was there to try it, or it would have told
	}
	if r.verdict == OK && now-r.proved >= expiry {
		r = r.become(Unknown, now)
		r.suspect = true
	}
	return r
}

// never is when a way is probed that need not be.
const never = time.Duration(1 << 62)

// due returns when a way is to be probed next. Ways that are wanted only in case the
// others fail are asked when that is so.
func (r record) due(metered, wanted bool) time.Duration {
	pace := badPace
	switch {
	case !wanted:
		return never
	case r.asked < 0:
		return 0
	case r.suspect && metered && r.lost+r.shut == 0:
		return r.asked + meteredSuspectPace
	case r.suspect:
		return r.asked + suspectPace
	case !r.verdict.Bad():
		return never
	case r.verdict == Refused:
		pace = r.trialPace(metered)
	case r.asked-r.since >= lateAfter && metered:
		pace = meteredPace
	case r.asked-r.since >= lateAfter || metered:
		pace = patientPace
	}
	return r.asked + pace
}

// trialPace returns how long after the last probe a link that refuses is tried again.
func (r record) trialPace(metered bool) time.Duration {
	pace, most := badPace, refusedPace
	if metered {
		pace, most = patientPace, meteredRefusedPace
	}
	for n := freeTrials; n < r.refusals && pace < most; n++ {
		pace *= 2
	}
	return min(pace, most)
}

// worth says how much a way adds to a port: nothing if nothing is known of it, and
// nothing if it cannot be used.
func (v Verdict) worth() int { return [numVerdicts]int{0, 4, 1, 1, 2, 0}[v] }

// choose returns the port over which most links pass, given the verdicts on each
// port's ways. The first is preferred; another has to have proved better.
func choose(ports [][]Verdict) (best int) {
	most := 0
	for i, ways := range ports {
		sum := 0
		for _, v := range ways {
			w := v.worth()
			if i == 0 && v == Unknown {
				w = OK.worth() // of the first the best is thought
			}
			sum += w
		}
		if i == 0 || sum > most {
			best, most = i, sum
		}
	}
	return best
}
