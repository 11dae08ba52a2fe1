package health

import (
	"testing"
	"time"
)

// TestProbesAloneAreLost has a network lose probes and nothing else while links are at
// rest: none is dead or silent for long, and after a while nothing is concluded from
// probes. A link that is dead indeed is so all the same.
func TestProbesAloneAreLost(t *testing.T) {
	idle := func(l *line) *line {
		l.busy = nil
		return l
	}
	from := 40 * sec
	deaf, gone := span{from: from, rtt: 40 * ms, deaf: true}, span{from: from, gone: true}
	lately := dsl(deaf)
	lately.busy = [][2]time.Duration{{0, from - 3*sec}}
	for name, lines := range map[string][]*line{
		"one of two":  {idle(dsl(deaf)), idle(lte())},
		"used lately": {lately, idle(lte())},
		"the only":    {idle(dsl(deaf))},
		"both":        {idle(dsl(deaf)), idle(lte(span{from: from, rtt: 60 * ms, deaf: true}))},
	} {
		t.Run(name, func(t *testing.T) {
			history(t, &world{lines: lines}, func(w *world) {
				w.until(from + 2*sec) // at the next probe all is noticed
				w.Hurry("dsl")
				for range 60 {
					w.until(w.now() + sec/2)
					if v := w.Verdict("dsl"); v.Reason == RelaySilent {
						t.Errorf("at %v: %s", w.now(), v.Why)
					}
				}
				w.never("dsl", Dead)
				w.is("dsl", Unknown, NoAnswers)
				if n := w.knocks["dsl"]; n < 2 || n > 20 {
					t.Errorf("%d knocks", n)
				}
			})
		})
	}
	history(t, &world{lines: []*line{idle(dsl(gone)), idle(lte())}}, func(w *world) {
		w.until(from)
		w.Hurry("dsl")
		w.until(from + 5*sec)
		w.one("dsl", Dead, from, sec, 1200*ms)
	})
}

// Where a network begins to drop probes alone, a pause of the traffic is no death, and a
// death is still found.
func TestTrafficPausesWithoutProbes(t *testing.T) {
	l := dsl(span{from: 20 * sec, rtt: 40 * ms, deaf: true})
	l.busy = append(busy(0, 21*sec), busy(21400*ms, 1000*sec)...)
	history(t, &world{lines: []*line{l, lte()}}, func(w *world) {
		w.until(60 * sec)
		w.never("dsl", Dead)
	})
	l = dsl(span{from: 20 * sec, rtt: 40 * ms, deaf: true}, span{from: 22 * sec, rtt: 40 * ms, gone: true})
	history(t, &world{lines: []*line{l, lte()}}, func(w *world) {
		w.until(25 * sec)
		w.one("dsl", Dead, 22*sec, 100*ms, 900*ms)
	})
}
