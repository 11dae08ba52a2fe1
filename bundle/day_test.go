package bundle

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"tributary/health"
	"tributary/link"
)

// A day of DSL and a mobile line, by a model, since nobody records a day in a lab. Of
// the mobile line it has what drive tests of LTE cells agree on: a cell that is shared
// has a tenth of its rate in the evening, round trips and queues grow by as much as the
// rate falls, the rate fades by a half within seconds, and now and then next to nothing
// comes for a few of them.
type day struct {
	t      *testing.T
	mind   Mind
	random *rand.Rand
	now    time.Duration
	roles  map[string]link.Role
	log    []string
	lte    mobile
	dslRTT time.Duration // as probes have it, smoothed
	// By the hour: what programs got, what DSL alone would have given them, and what
	// the lines could have carried of what was wanted, in Mbit.
	got, alone, could [24]float64
}

// A mobile is how the line is now.
type mobile struct {
	fade     float64       // of its rate
	faded    time.Duration // when that was last drawn
	gapUntil time.Duration // next to nothing comes
	rtt      time.Duration // as probes have it, smoothed
	least    [2]time.Duration
	since    time.Duration // of the first of these; the other is of the five minutes before
	state    health.State
}

const (
	dayDSL     = 30.0 // Mbit/s
	dayNight   = 40.0 // of the mobile line
	dayEvening = 4.0
)

// crowd is how crowded the cell is, from 0 to 1.
func crowd(at time.Duration) float64 {
	hour := math.Mod(at.Hours(), 24)
	evening := math.Exp(-math.Pow((hour-20.5)/2, 2))
	work := 0.35 / (1 + math.Exp(-2*(hour-8))) / (1 + math.Exp(2*(hour-23)))
	return min(1, evening+work)
}

// demand is what programs want, in Mbit/s: five minutes of downloads as fast as they
// come, then a film, then next to nothing, three times an hour.
func demand(at time.Duration) float64 {
	switch m := math.Mod(at.Minutes(), 20); {
	case m < 5:
		return 1000
	case m < 14:
		return 8
	}
	return 0.05
}

// pass lets the lines change for a moment.
func (m *mobile) pass(d *day, span time.Duration) (rate float64) {
	c := crowd(d.now)
	if d.now-m.faded >= 3*time.Second {
		m.faded, m.fade = d.now, max(0.4, min(1.3, 1+0.25*d.random.NormFloat64()))
	}
	if d.now >= m.gapUntil && d.random.Float64() < span.Seconds()*c*c/600 {
		m.gapUntil = d.now + time.Duration((1+3*d.random.Float64())*float64(time.Second))
	}
	rate = (dayNight*(1-c) + dayEvening*c) * m.fade
	if d.now < m.gapUntil {
		rate = 0.2
	}
	return rate
}

// probe returns what probes say of a line whose packets wait for so long.
func (m *mobile) probe(d *day, span, wait time.Duration) Probes {
	c := crowd(d.now)
	base := 45*time.Millisecond + time.Duration(65*c*float64(time.Millisecond))
	jitter := time.Duration((3 + 15*c) * d.random.ExpFloat64() * float64(time.Millisecond))
	if m.rtt == 0 {
		m.rtt, m.least = base, [2]time.Duration{base, base}
	}
	if d.now-m.since >= 5*time.Minute {
		m.least, m.since = [2]time.Duration{base, m.least[0]}, d.now
	}
	m.least[0] = min(m.least[0], base+wait)
	p := Probes{RTT: smooth(&m.rtt, base+wait+jitter, span), Jitter: 15 * time.Millisecond, Min: min(m.least[0], m.least[1]), Low: base + wait, Answered: 14}
	p.Loss = 0.1 + 2*c
	for range 14 {
		if d.random.Float64() < p.Loss/100 || d.now < m.gapUntil && d.random.Float64() < 0.5 {
			p.Answered, p.Missed = p.Answered-1, p.Missed+1
		}
	}
	tooSlow := 2*p.Min + 200*time.Millisecond // as health has it
	if m.state == health.Doubtful {
		tooSlow -= 100 * time.Millisecond
	}
	if m.state = health.Alive; p.RTT > tooSlow {
		m.state = health.Doubtful
	}
	return p
}

// smooth is what a round trip does to the smoothed one in a moment: with a probe each
// 50 ms that has a time constant of 0.4 s.
func smooth(rtt *time.Duration, now, span time.Duration) time.Duration {
	*rtt += time.Duration(float64(now-*rtt) * (1 - math.Exp(-span.Seconds()/0.4)))
	return *rtt
}

// step lets a moment pass, and has the mind decide. A line that is full has a queue, of
// 40 ms on DSL and more on the mobile one the more crowded it is. In a gap what comes
// over the other line waits for what does not: a fifth of it gets through, for which
// there is no queue.
func (d *day) step(span time.Duration) time.Duration {
	d.now += span
	want, lteRate := demand(d.now), d.lte.pass(d, span)
	useDSL, useLTE := d.roles["dsl"] == link.Full, d.roles["lte"] == link.Full
	room := 0.0
	if useDSL {
		room += dayDSL
	}
	if useLTE {
		room += lteRate
	}
	part := min(1, want/max(room, 0.001))
	dsl, lte := 0.0, 0.0
	b := Bundle{At: d.now, Span: span}
	wait := [2]time.Duration{}
	if useDSL {
		if dsl = dayDSL * part; part == 1 {
			wait[0] = 40 * time.Millisecond
		}
	}
	if useLTE {
		if lte = lteRate * part; part == 1 {
			wait[1] = 60*time.Millisecond + time.Duration(240*crowd(d.now)*float64(time.Millisecond))
		}
	}
	if part == 1 {
		b.Held = 1 << 20
		if useDSL && useLTE && d.now < d.lte.gapUntil {
			dsl /= 5
			b.Held = 4 << 20
			wait[0], wait[1] = 0, wait[1]+500*time.Millisecond
		}
	}
	got, hour := dsl+lte, int(d.now.Hours())%24
	d.got[hour] += got * span.Seconds()
	d.alone[hour] += min(want, dayDSL) * span.Seconds()
	d.could[hour] += min(want, dayDSL+lteRate) * span.Seconds()
	b.GoodputDown = got * 1e6 / 8
	b.Links = []Observation{
		{Link: "dsl", Mode: link.On, Up: true, Health: health.Alive, Reason: health.Answers, Sub: Subflows{Down: dsl * 1e6 / 8},
			Probes: Probes{RTT: smooth(&d.dslRTT, 40*time.Millisecond+wait[0], span), Min: 40 * time.Millisecond, Low: 40*time.Millisecond + wait[0], Answered: 14}},
		{Link: "lte", Mode: link.On, Order: 1, Up: true, Metered: true, Reason: health.Answers, Sub: Subflows{Down: lte * 1e6 / 8}, Probes: d.lte.probe(d, span, wait[1])},
	}
	if b.Links[1].Health = d.lte.state; d.lte.state == health.Doubtful {
		b.Links[1].Reason = health.Slow
	}
	parts, again := d.mind.Decide(b)
	for name, p := range parts {
		if was := d.roles[name]; was != p.Role && (was == link.Full || p.Role == link.Full) {
			d.log = append(d.log, fmt.Sprintf("%v %s %s: %s. %s", d.now.Round(time.Second), name, p.Role, p.Reason, p.Why))
		}
		d.roles[name] = p.Role
	}
	return again
}

// A mobile line is worth much at night and little in the evening. It is used all day,
// takes nothing away from DSL in any hour, and and less than one link in two hours goes for a while.
func TestDiurnalLTE(t *testing.T) {
	const mostChanges = 24
	for seed := range uint64(5) {
		d := &day{t: t, random: rand.New(rand.NewPCG(seed, 7)), roles: map[string]link.Role{"dsl": link.Full, "lte": link.Full}, dslRTT: 40 * time.Millisecond}
		for again := time.Second; d.now < 24*time.Hour; {
			again = d.step(again)
		}
		worst, night, got, could, hours := 1.0, 1.0, 0.0, 0.0, ""
		for h := range d.got {
			ofDSL, ofAll := d.got[h]/d.alone[h], d.got[h]/d.could[h]
			hours += fmt.Sprintf(" %d:%.2f/%.2f", h, ofDSL, ofAll)
			worst, got, could = min(worst, ofDSL), got+d.got[h], could+d.could[h]
			if h < 6 {
				night = min(night, ofAll)
			}
		}
		t.Logf("seed %d: %d changes, %.3f of the sum; of DSL alone/of the sum by the hour:%s", seed, len(d.log), got/could, hours)
		if worst < 0.97 || night < 0.95 || got < 0.95*could || len(d.log) > mostChanges {
			t.Errorf("seed %d: %.2f of DSL alone in the worst hour, %.2f of the sum at night, %.2f of it all day, %d changes of roles", seed, worst, night, got/could, len(d.log))
			for _, l := range d.log {
				t.Log(l)
			}
		}
	}
}
