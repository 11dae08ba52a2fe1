package health

import "time"

// How often a link is probed. Chosen by us.
const (
	// fastPace is the pace while traffic flows and while there is a doubt. A
	// thousand links at a relay are 20,000 probes a second.
	fastPace = 50 * time.Millisecond

	// briskPace is for a link that may be needed soon: its own traffic has just
	// ended, or that of another link flows.
	briskPace = time.Second

	// restPace and meteredRestPace are for a link at rest: 1 MB a day and 0.3 MB.
	restPace        = 15 * time.Second
	meteredRestPace = time.Minute

	// A link that is silent is probed at silentPace, so that it is used again soon
	// after its return, and after a while less.
	silentPace      = 250 * time.Millisecond
	silentFor       = time.Minute
	longSilentPace  = time.Second
	longSilentFor   = 10 * time.Minute
	givenUpPace     = 5 * time.Second
	unansweredTries = 10 // brisk ones, of a link that was never heard

	// hurryTime is how long a link is probed fast for a reason from outside, and
	// vouchTime how long because another one is silent.
	hurryTime = time.Second
	vouchTime = 300 * time.Millisecond

	// busyTime is how long traffic counts as flowing, and recentTime as recent.
	busyTime   = 2 * time.Second
	recentTime = 7 * time.Second
)

// What probes may cost on a metered link, in bytes of IP packets both ways. A day
// at rest, with the link dying now and then, is allowed 3 MB.
const (
	purseFirst  = 64_000
	purseMost   = 256_000
	pursePerDay = 1_700_000
	purseShare  = 0.03   // of what the traffic carries comes on top
	purseKept   = 16_000 // is kept for doubts and hurry
)

// A purse is what may be spent on a metered link. The zero purse has purseFirst.
type purse struct {
	spent float64 // beyond purseFirst, negative if less
	at    time.Duration
}

func (p *purse) has(now time.Duration) float64 {
	p.spent -= pursePerDay * (now - p.at).Hours() / 24
	p.spent = max(p.spent, purseFirst-purseMost)
	p.at = now
	return purseFirst - p.spent
}

func (p *purse) earn(carried uint64) { p.spent -= purseShare * float64(carried) }
func (p *purse) spend(bytes int)     { p.spent += float64(bytes) }

// A need is what the pace of a link depends on.
type need struct {
	was        standing
	rtt        time.Duration
	sent       uint32
	run, row   int
	busy       time.Duration // when its traffic last flowed; negative is never
	othersBusy bool
	hurry      time.Duration // until when
	metered    bool
	purse      float64
}

// pace returns how long after the last probe the next one follows.
func pace(n need, now time.Duration) time.Duration {
	want, urgent := wanted(n, now)
	rest := restPace
	if n.metered {
		rest = meteredRestPace
		switch {
		case want >= rest:
		case n.purse <= 0:
			return rest
		case n.purse < purseKept && !urgent && now-n.busy >= busyTime:
			return rest
		case n.purse < purseKept && !urgent:
			want = max(want, givenUpPace)
		}
	}
	return min(want, rest)
}

// wanted is the pace if it cost nothing, and whether a verdict depends on it.
func wanted(n need, now time.Duration) (pace time.Duration, urgent bool) {
	fast := min(max(fastPace, n.rtt/6), 4*fastPace)
	busy := now-n.busy < busyTime
	switch silent := now - n.was.since; {
	case n.was.State == Dead && n.row > 0 && n.was.Reason != HeldDown: // proves that it is back
		return fast, true
	case n.was.State == Dead || n.was.Reason == RelaySilent:
		switch {
		case silent < silentFor:
			return silentPace, true
		case silent < longSilentFor:
			return longSilentPace, true
		}
		return givenUpPace, true
	case now < n.hurry:
		return fast, true
	case n.was.State == Unknown:
		if n.sent < unansweredTries || busy && n.was.Reason == Unheard {
			return briskPace, true
		}
		return restPace, false
	case n.run > 0:
		return fast, true
	case busy:
		return fast, false
	case now-n.busy < recentTime || n.was.State == Doubtful || n.othersBusy && !n.metered:
		return briskPace, false
	}
	return 24 * time.Hour, false // as rarely as any
}
