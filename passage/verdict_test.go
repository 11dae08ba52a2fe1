package passage

import (
	"testing"
	"time"
)

// A seen is evidence at a time, in seconds, and what is thought afterwards.
type seen struct {
	at      float64
	e       Evidence
	verdict Verdict
	suspect bool
}

// TestRecord walks through histories of a way.
func TestRecord(t *testing.T) {
	for _, c := range []struct {
		what    string
		history []seen
	}{
		{"a link that works", []seen{{0, passed, OK, false}, {1, Began, OK, false}, {2, Joined, OK, false}}},
		{"joins prove it without any probe", []seen{{0, Joined, OK, false}}},
		{"options are removed: one probe is enough", []seen{{0, Joined, OK, false}, {5, Fell, OK, true}, {5.1, stripped, Stripped, false}}},
		{"one connection fell for another reason", []seen{{0, Fell, Unknown, true}, {1, passed, OK, false}, {2, Fell, OK, true}}},
		{"what probes do not meet, connections do", []seen{{0, passed, OK, false}, {1, Fell, OK, true}, {2, Fell, OK, true}, {3, Fell, Stripped, true}, {20, passed, OK, false}}},
		{"SYNs are dropped: twice is not chance", []seen{{0, Late, Unknown, true}, {1, lost, Unknown, true}, {3, lost, Blocked, false}}},
		{"a lost SYN was chance", []seen{{0, lost, Unknown, true}, {1, passed, OK, false}, {2, lost, OK, true}}},
		{"repaired after being blocked", []seen{{0, lost, Unknown, true}, {1, lost, Blocked, false}, {20, lost, Blocked, false}, {40, passed, OK, false}}},
		{"plain TCP over a blocked link", []seen{{1, lost, Unknown, true}, {2, lost, Blocked, false}, {3, Fell, Blocked, false}, {4, Fell, Blocked, false}, {5, Fell, Blocked, false}}},
		{"repaired after joins were missed", []seen{{1, Missed, Unknown, true}, {1, Missed, Unknown, true}, {1, Missed, Unknown, true}, {2, lost, Unknown, true}, {4, lost, Blocked, false}, {40, passed, OK, false}}},
		{"a blocked link that now strips", []seen{{0, lost, Unknown, true}, {1, lost, Blocked, false}, {20, stripped, Stripped, false}}},
		{"the link is away: nothing is learned", []seen{{0, Missed, Unknown, true}, {1, nothing, Unknown, false}, {2, Missed, Unknown, true}, {3, Missed, Unknown, true}, {4, nothing, Unknown, false}}},
		{"joins are refused", []seen{{0, Missed, Unknown, true}, {1, passed, OK, false}, {2, Missed, OK, true}, {3, Missed, Refused, false}}},
		{"joins are refused, and the probe comes last", []seen{{0, Missed, Unknown, true}, {1, Missed, Unknown, true}, {2, Missed, Unknown, true}, {3, passed, Refused, false}}},
		{"beginning says nothing of joining", []seen{{0, Missed, Unknown, true}, {1, Began, OK, false}, {2, Missed, OK, true}, {3, passed, OK, false}, {4, Missed, Refused, false}, {5, Began, Refused, false}}},
		{"refused, tried again, and still", []seen{{0, Missed, Unknown, true}, {1, passed, OK, false}, {2, Missed, OK, true}, {3, Missed, Refused, false}, {23, passed, Unknown, false}, {24, Began, Unknown, false}, {25, Missed, Refused, false}}},
		{"refused, tried again, and joined", []seen{{0, Missed, Unknown, true}, {1, passed, OK, false}, {2, Missed, OK, true}, {3, Missed, Refused, false}, {23, passed, Unknown, false}, {25, Joined, OK, false}, {26, Missed, OK, true}}},
		{"the port is shut", []seen{{0, shut, Unknown, true}, {1, shut, Shut, false}, {20, passed, OK, false}}},
	} {
		r := record{asked: -1}
		for i, s := range c.history {
			r = r.hear(s.e, time.Duration(s.at*float64(time.Second)))
			if r.verdict != s.verdict || r.suspect != s.suspect {
				t.Errorf("%s, %d: %v, suspect %v; want %v, %v", c.what, i, r.verdict, r.suspect, s.verdict, s.suspect)
			}
		}
	}
}

// TestExpire sees that nothing is believed for ever.
func TestExpire(t *testing.T) {
	r := record{asked: -1}.hear(Joined, time.Minute)
	if r = r.expire(time.Minute + expiry - 1); r.verdict != OK || r.suspect {
		t.Errorf("early: %v", r.verdict)
	}
	if r = r.expire(time.Minute + expiry); r.verdict != Unknown || !r.suspect {
		t.Errorf("late: %v, suspect %v", r.verdict, r.suspect)
	}
	r = record{verdict: Refused}.hear(passed, time.Minute)
	if r.trial == 0 {
		t.Fatal("a link that refused is not tried again")
	}
	if r = r.expire(time.Minute + trialTime); r.trial != 0 || r.verdict != Unknown {
		t.Errorf("after the trial: %v, until %v", r.verdict, r.trial)
	}
	if r = r.hear(Missed, 2*time.Minute); r.verdict != Refused {
		t.Errorf("the next that does not join: %v", r.verdict)
	}
}

func TestDue(t *testing.T) {
	const s = time.Second
	bad := func(since, asked time.Duration) record { return record{verdict: Blocked, since: since, asked: asked} }
	for _, c := range []struct {
		what            string
		r               record
		metered, wanted bool
		want            time.Duration
	}{
		{"never asked", record{asked: -1}, true, true, 0},
		{"of no use", record{asked: -1}, false, false, 1 << 62},
		{"in order", record{verdict: OK, asked: s}, false, true, 1 << 62},
		{"suspect", record{verdict: OK, asked: s, suspect: true}, false, true, 2 * s},
		{"suspect, and bytes cost", record{verdict: OK, asked: s, suspect: true}, true, true, s + meteredSuspectPace},
		{"to be confirmed, and bytes cost", record{asked: s, suspect: true, lost: 1}, true, true, 2 * s},
		{"blocked", bad(s, s), false, true, s + badPace},
		{"blocked, and bytes cost", bad(s, s), true, true, s + patientPace},
		{"blocked for long", bad(s, s+lateAfter), false, true, s + lateAfter + patientPace},
		{"blocked for long, and bytes cost", bad(s, s+lateAfter), true, true, s + lateAfter + meteredPace},
		{"refuses", record{verdict: Refused, since: s, asked: s, refusals: 1}, false, true, s + badPace},
		{"refuses, and bytes cost", record{verdict: Refused, since: s, asked: s, refusals: 1}, true, true, s + patientPace},
		{"still refuses", record{verdict: Refused, since: s, asked: s, refusals: freeTrials + 2}, false, true, s + 4*badPace},
		{"refuses for ever", record{verdict: Refused, since: s, asked: s, refusals: 1 << 40}, false, true, s + refusedPace},
		{"refuses for ever, and bytes cost", record{verdict: Refused, since: s, asked: s, refusals: 1 << 40}, true, true, s + meteredRefusedPace},
	} {
		if got := c.r.due(c.metered, c.wanted); got != c.want {
			t.Errorf("%s: %v, want %v", c.what, got, c.want)
		}
	}
}

// TestTrialsGetRarer lives through a day of a link over which no connection joins,
// then lets one join.
func TestTrialsGetRarer(t *testing.T) {
	for _, metered := range []bool{false, true} {
		r := record{asked: -1}
		const at = time.Second
		r = r.hear(Missed, at).hear(Missed, at).hear(Missed, at).hear(passed, at)
		trials, early := 0, 0
		for r.asked = at; r.asked < 24*time.Hour; trials++ {
			now := r.due(metered, true)
			if now < 2*time.Minute {
				early++
			}
			r.asked = now
			r = r.hear(passed, now).hear(Began, now+time.Second)
			if trials%2 == 0 { // no connection was there to try it, and later one is
				r = r.expire(now+trialTime).hear(Began, now+trialTime)
			}
			if r = r.hear(Missed, now+trialTime); r.verdict != Refused {
				t.Fatalf("trial %d: %v", trials, r.verdict)
			}
		}
		most := 60
		if metered {
			most = 24
		}
		if trials > most || early < 2 {
			t.Errorf("metered %v: %d trials in a day, %d in the first two minutes", metered, trials, early)
		}
		now := r.due(metered, true)
		r = r.hear(passed, now).hear(Joined, now+time.Second)
		if r.verdict != OK || r.refusals != 0 {
			t.Errorf("after a join: %v, %d refusals", r.verdict, r.refusals)
		}
	}
}

func TestChoose(t *testing.T) {
	for _, c := range []struct {
		what  string
		ports [][]Verdict
		want  int
	}{
		{"nothing is known", [][]Verdict{{Unknown, Unknown}, {Unknown, Unknown}}, 0},
		{"both are as good", [][]Verdict{{OK, OK}, {OK, OK}}, 0},
		{"one link passes there alone", [][]Verdict{{OK, Blocked}, {OK, OK}}, 1},
		{"the other is not proved", [][]Verdict{{OK, Blocked}, {OK, Unknown}}, 0},
		{"the relay is away", [][]Verdict{{Unknown, Unknown}, {Unknown, Unknown}, {Unknown, Unknown}}, 0},
		{"the first is shut", [][]Verdict{{Shut}, {Stripped}}, 1},
		{"repaired", [][]Verdict{{OK, OK}, {OK, OK}, {OK, OK}}, 0},
		{"stripped everywhere", [][]Verdict{{Stripped}, {Stripped}}, 0},
	} {
		if got := choose(c.ports); got != c.want {
			t.Errorf("%s: %d, want %d", c.what, got, c.want)
		}
	}
}

func TestWords(t *testing.T) {
	for v := range numVerdicts {
		if bad := v.Bad(); (v.Why() != "") != bad || v.String() == "invalid" || v.Plain() && !bad {
			t.Errorf("%v: bad %v, plain %v, why %q", v, bad, v.Plain(), v.Why())
		}
	}
	if numVerdicts.String() != "invalid" || numVerdicts.Bad() {
		t.Error("what is no verdict has a name")
	}
}
