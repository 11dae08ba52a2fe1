package health

import "time"

// When a link is thought what. Chosen by us; the figures are in the test of each.
const (
	// deadRun is how many probes in a row have to be missed, with nothing else
	// heard. At 50 ms between them a link that falls silent is dead after 140 to
	// 190 ms, whatever its round trip: it is the margin, and not the round trip, that
	// is waited for, because what was on its way is lost too.
	deadRun = 3

	// deadAlone is how many, while no other link shows that the relay is there.
	deadAlone = 5

	// lossy and noLongerLossy are shares of lost probes, in percent. It takes
	// leastLost of leastDecided to tell that from chance.
	lossy         = 5.0
	noLongerLossy = 2.5
	leastLost     = 4
	leastDecided  = 40

	// slow is what a round trip takes beyond twice the least one: more than the
	// queues of most lines hold. It has to fall by lessSlow to be none.
	slow     = 200 * time.Millisecond
	lessSlow = 100 * time.Millisecond

	// calm is how long a link has to be without fault until it is in no doubt, and
	// longCalm the same where the fault was slowness or loss: a queue that fills and
	// drains takes seconds for that, and is one fault.
	calm     = time.Second
	longCalm = 5 * time.Second

	// passing is how long a doubt may last and have been none afterwards.
	passing = 15 * time.Second

	// A link that was dead has to answer proofRow probes in a row, or proofFew over
	// proofTime where probes are rare.
	proofRow  = 5
	proofFew  = 2
	proofTime = 2 * time.Second

	// firstHold is how long a link stays dead at least. It doubles each time up to
	// longestHold, and is forgotten when the link was alive for steadyHolds times as
	// long, and steady at least.
	firstHold   = time.Second
	longestHold = time.Minute
	steadyHolds = 10
	steady      = time.Minute

	// A link whose probes are not answered for deafTime, deafProbes of them although
	// the traffic was heard before and after, is one on which probes say nothing.
	deafTime   = 10 * time.Second
	deafProbes = 8

	// mayVouch is for how long a link that was heard may turn out to be alive,
	// though it answers no probes.
	mayVouch = time.Minute
)

// observed is what a record sums up to.
type observed struct {
	rtt, jitter, min time.Duration // 0 without an answer
	answer           time.Duration // last one, 0 is never
	heard, refused   time.Duration // likewise
	alive            time.Duration // when the relay was last seen at work through this link

	run, counted         int           // missed in a row with nothing heard; of these, since the amnesty
	runFrom, countedFrom time.Duration // when the first of them was sent; when it should have been at the relay
	row                  int           // answered in time, in a row
	rowFrom              time.Duration // when the first of them was sent
	unanswered, ignored  int           // missed in a row, whatever was heard; of these, while the traffic was heard
	decided, lost        int           // of the last probes
	speaks               bool          // by TCP it answers, or may do so in a moment

	was standing
}

// judge decides on all links, by what was seen of them and what was thought
// before. Nothing else enters. It takes all at once because the relay may be what
// is silent: a link is dead only if another one shows that it is not.
func judge(links []observed, now time.Duration) []standing {
	out, allSilent := make([]standing, len(links)), false
	for i := range links {
		s := links[i].was
		state, reason := decide(links, i, now)
		if state == Alive && (s.State == Dead || s.rose == 0) {
			s.rose = now
		}
		if state == Dead && s.State != Dead {
			if now-s.rose >= max(steady, steadyHolds*s.hold()) {
				s.falls = 0
			}
			s.falls, s.fell = s.falls+1, now
		}
		if state == Doubtful && faultOf(&links[i]) != Answers {
			s.bad = now
		}
		s.deaf = reason == NoAnswers && (s.deaf || links[i].answer > 0)
		if state != s.State || s.since == 0 {
			s = s.from(state, now)
		}
		if state != s.State || reason != s.Reason {
			s.State, s.Reason, s.turned = state, reason, now
			s.why = evidence(&links[i], s, now)
		}
		out[i] = s
		allSilent = allSilent || reason == RelaySilent
	}
	for i := range out {
		if allSilent || out[i].State == Dead {
			out[i].amnesty = now
		}
	}
	return out
}

func decide(links []observed, i int, now time.Duration) (State, Reason) {
	o := &links[i]
	switch {
	case o.was.State == Dead:
		return rise(links, i, now)
	case o.answer == 0 && o.refused == 0 && o.unanswered < deadRun:
		return Unknown, Unheard
	case o.answer == 0, o.refused > o.answer, o.was.deaf && o.row == 0, o.turnsDeaf(now):
		return Unknown, NoAnswers
	}
	if o.run >= deadRun {
		if o.speaks && o.was.Reason != RelaySilent {
			return Doubtful, Missed
		}
		switch vouched, maybe := others(links, i, now); {
		case vouched && o.counted >= deadRun, !vouched && maybe && o.counted >= deadAlone:
			return Dead, Silent
		case !vouched && !maybe:
			return Doubtful, RelaySilent
		}
		return Doubtful, Missed
	}
	fault := faultOf(o)
	doubted := o.was.State == Doubtful && o.was.Reason != RelaySilent
	switch {
	case doubted && fault == Answers && now-o.was.bad < o.was.Reason.calm(), doubted && fault != Answers && now-o.was.turned < calm:
		return Doubtful, o.was.Reason // one reason for a while, and not all of them by turns
	case fault != Answers:
		return Doubtful, fault
	}
	return Alive, Answers
}

// faultOf returns what is wrong with a link that is not silent; Answers is
// nothing. A fault has to be well over before it is none.
func faultOf(o *observed) Reason {
	tooLossy, tooSlow := lossy, 2*o.min+slow
	switch o.was.Reason {
	case Lossy:
		tooLossy = noLongerLossy
	case Slow:
		tooSlow -= lessSlow
	}
	switch {
	case o.lost >= leastLost && o.decided >= leastDecided && o.loss() >= tooLossy:
		return Lossy
	case o.rtt > tooSlow:
		return Slow
	case o.run > 0:
		return Missed
	}
	return Answers
}

// loss returns the share of lost probes in percent.
func (o *observed) loss() float64 {
	if o.decided == 0 {
		return 0
	}
	return 100 * float64(o.lost) / float64(o.decided)
}

// turnsDeaf: probes get lost and the traffic does not.
func (o *observed) turnsDeaf(now time.Duration) bool {
	return o.ignored >= deafProbes && now-o.answer >= deafTime && now-o.heard < around
}

// others looks at the other links. One vouches for the relay if something came from
// there after it should have had the first probe that is missing here; one that
// has missed nothing may do so yet.
func others(links []observed, i int, now time.Duration) (vouched, maybe bool) {
	for j := range links {
		o := &links[j]
		switch {
		case j == i:
		case o.alive > 0 && links[i].counted > 0 && o.alive >= links[i].countedFrom:
			vouched = true
		case o.was.State == Dead:
		case o.was.State == Unknown:
			maybe = maybe || o.heard > 0 && now-o.heard < mayVouch
		default:
			maybe = maybe || o.run == 0
		}
	}
	return vouched, maybe
}

// rise decides on a link that is dead. If no other is in use it is not held down.
func rise(links []observed, i int, now time.Duration) (State, Reason) {
	o := &links[i]
	alone := true
	for j := range links {
		w := &links[j].was
		if j != i && (w.State == Alive || w.State == Doubtful && w.Reason != RelaySilent) {
			alone = false
		}
	}
	held := !alone && now-o.was.fell < o.was.hold()
	switch proven := o.row >= proofRow || o.row >= proofFew && now-o.rowFrom >= proofTime; {
	case proven && held:
		return Dead, HeldDown
	case proven:
		return Alive, Answers
	case !held && o.row == 0 && o.turnsDeaf(now):
		return Unknown, NoAnswers
	}
	return Dead, Silent
}
