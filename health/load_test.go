package health

import (
	"math"
	"testing"
	"time"
)

// filled is a line whose traffic fills its queue, as BBR and cubic do: every period the
// queue grows to its full length, with a share of the packets lost when it is full, and
// drains in 200 ms.
func filled(rtt, least, most, period, for_ time.Duration, loss float64) (all []span) {
	const step = 50 * ms
	for at := time.Duration(0); at < for_; at += step {
		phase := at % period
		part := math.Min(1, float64(phase)/float64(period-period/5))
		s := span{from: at, rtt: rtt + least + time.Duration(part*float64(most-least)), spread: 3 * ms}
		if phase >= period-200*ms {
			s.rtt = rtt
		}
		if part == 1 {
			s.loss = loss
		}
		all = append(all, s)
	}
	return all
}

// doubts counts how often a link came into doubt.
func (w *world) doubts(name string) (n int) {
	for _, d := range w.decisions() {
		if d.Link == name && d.To == Doubtful && d.From != Doubtful {
			n++
		}
	}
	return n
}

// A link that carries all it can has probes that are late and probes that find its queue
// full. While the traffic comes, that is no doubt, and the traffic is asked about no
// more often than probes are missed.
func TestFullLoad(t *testing.T) {
	const length = 5 * time.Minute
	for name, spans := range map[string][]span{
		"bbr":               filled(40*ms, 0, 90*ms, 2*sec, length, 0.05),
		"cubic":             filled(60*ms, 20*ms, 100*ms, 3*sec, length, 0.1),
		"a bloated queue":   filled(60*ms, 0, 230*ms, 3*sec, length, 0.02),
		"longer in doubt":   filled(60*ms, 150*ms, 600*ms, 2*sec, length, 0.02),
		"slow by turns":     filled(60*ms, 0, 330*ms, 8*sec, length, 0.02),
		"a cell that fades": filled(90*ms, 0, 250*ms, 700*ms, length, 0.04),
	} {
		t.Run(name, func(t *testing.T) {
			l := lte(spans...)
			history(t, &world{lines: []*line{l, dsl()}}, func(w *world) {
				w.until(length)
				n, missed := w.doubts("lte"), int(w.Status()[0].Sent-w.Status()[0].Echoes)
				t.Logf("%d doubts, %d probes missed, asked %d times of %d probes", n, missed, w.asked, w.Status()[0].Sent)
				if most := map[bool]int{true: 8, false: 3}[name == "cubic"]; n > most { // which loses 5 % at times
					t.Errorf("in doubt %d times in %v", n, length)
				}
				if w.asked > missed {
					t.Errorf("the traffic was asked about %d times", w.asked)
				}
				w.never("lte", Dead)
			})
		})
	}
}

// A doubt that passed soon has not changed since when a link is alive; one that lasted
// has, and so has the relay's silence.
func TestSince(t *testing.T) {
	l := dsl(
		span{from: 60 * sec, rtt: 400 * ms}, span{from: 65 * sec, rtt: 40 * ms}, // slow
		span{from: 120 * sec, rtt: 400 * ms}, span{from: 150 * sec, rtt: 40 * ms},
	)
	w := &world{lines: []*line{l, lte()}, relayOut: [][2]time.Duration{{200 * sec, 203 * sec}}}
	history(t, w, func(w *world) {
		since := func() time.Duration { return w.Verdict("dsl").Since.Sub(w.start) }
		w.until(62 * sec)
		w.is("dsl", Doubtful, Slow)
		if at := since(); at < 60*sec || at > 62*sec {
			t.Errorf("in doubt since %v", at)
		}
		w.until(80 * sec)
		w.is("dsl", Alive, Answers)
		if at := since(); at > sec {
			t.Errorf("alive since %v after a short doubt", at)
		}
		w.until(170 * sec)
		w.is("dsl", Alive, Answers)
		if at := since(); at < 150*sec {
			t.Errorf("alive since %v after a long doubt", at)
		}
		w.until(202 * sec)
		w.is("dsl", Doubtful, RelaySilent)
		w.until(220 * sec)
		w.is("dsl", Alive, Answers)
		if at := since(); at < 203*sec {
			t.Errorf("alive since %v after the relay was silent", at)
		}
	})
}
