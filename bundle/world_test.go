package bundle

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"tributary/health"
	"tributary/link"
)

// A line is a link of the tests' world. Rates are in Mbit/s, down.
type line struct {
	name   string
	mode   link.Mode
	thrift Thrift
	rate   float64
	rtt    time.Duration
	queue  time.Duration // that stands while it is full
	late   time.Duration // what probes take longer, whatever it carries
	loss   float64       // share of probes
	lossy  bool          // health calls it so
	deaf   bool          // probes are not answered here
	dead   bool
	gone   bool
}

// A world has lines, and what programs want to have over them.
type world struct {
	t      *testing.T
	mind   Mind
	now    time.Duration
	lines  []*line
	demand float64
	// harm returns the part of the rate that programs get, by the roles; nil is all.
	harm  func(roles map[string]link.Role) float64
	roles map[string]link.Role
	parts map[string]Part
	got   float64 // what programs get now
	over  map[string]float64
	bytes map[string]float64 // so far, in Mbit
	all   float64            // what programs got so far, in Mbit
	log   []string           // changes of roles
	wait  time.Duration
}

func newWorld(t *testing.T, lines ...*line) *world {
	w := &world{t: t, lines: lines, roles: map[string]link.Role{}, bytes: map[string]float64{}, over: map[string]float64{}, wait: time.Second}
	w.look(0)
	return w
}

// flow finds out what goes over each line for now.
func (w *world) flow() {
	var room float64
	for _, l := range w.lines {
		if w.carries(l) {
			room += l.rate
		}
	}
	part := 1.0
	if room > 0 {
		part = min(1, w.demand/room)
	}
	harm := 1.0
	if w.harm != nil {
		harm = w.harm(w.roles)
	}
	w.got = 0
	for i, l := range w.lines {
		w.over[l.name] = 0
		if w.carries(l) {
			w.over[l.name] = l.rate * part
			if i == 0 {
				w.over[l.name] *= harm // the last one is to blame, and full
			}
			w.got += l.rate * part * harm
		}
	}
}

func (w *world) carries(l *line) bool {
	return w.roles[l.name] == link.Full && !l.dead && !l.gone
}

// observe is what the mind is told.
func (w *world) observe(span time.Duration) Bundle {
	b := Bundle{At: w.now, Span: span, GoodputDown: w.got * 1e6 / 8}
	for i, l := range w.lines {
		o := Observation{Link: l.name, Mode: l.mode, Thrift: l.thrift, Order: i, Up: !l.gone, Health: health.Alive, Reason: health.Answers}
		full := w.over[l.name] >= 0.97*l.rate && w.carries(l)
		low := l.rtt
		if full {
			low += l.queue
			b.Held = 1 << 20
		}
		if w.harm != nil && w.harm(w.roles) < 1 && w.demand > 0 {
			b.Held = 4 << 20
		}
		missed := int(14*l.loss + 0.5)
		o.Probes = Probes{RTT: low + l.late, Min: l.rtt, Low: low, Loss: 100 * l.loss, Answered: 14 - missed, Missed: missed}
		if 14-missed < 4 {
			o.Probes.Low = 0
		}
		switch {
		case l.dead:
			o.Health, o.Reason, o.Why = health.Dead, health.Silent, "nothing for 150 ms"
		case l.deaf:
			o.Health, o.Reason, o.Probes = health.Unknown, health.NoAnswers, Probes{}
		case l.lossy:
			o.Health, o.Reason = health.Doubtful, health.Lossy
		}
		o.Sub.Down = w.over[l.name] * 1e6 / 8
		b.Links = append(b.Links, o)
	}
	return b
}

// look lets the mind decide.
func (w *world) look(span time.Duration) {
	parts, again := w.mind.Decide(w.observe(span))
	for _, l := range w.lines {
		p := parts[l.name]
		if was, known := w.roles[l.name]; !known && p.Role != link.Full || known && was != p.Role {
			w.log = append(w.log, fmt.Sprintf("%v %s %s: %s", w.now, l.name, p.Role, p.Reason))
		}
		w.roles[l.name] = p.Role
	}
	w.parts, w.wait = parts, again
	w.flow()
}

// run lets time pass.
func (w *world) run(d time.Duration) {
	w.flow()
	for end := w.now + d; w.now < end; {
		span := min(w.wait, end-w.now)
		w.now += span
		for l, r := range w.over {
			w.bytes[l] += r * span.Seconds()
		}
		w.all += w.got * span.Seconds()
		w.look(span)
	}
}

// event has the mind look at once, with nothing measured.
func (w *world) event() { w.look(0) }

func (w *world) expect(what string, roles string) {
	w.t.Helper()
	var now []string
	for _, l := range w.lines {
		now = append(now, l.name+" "+w.roles[l.name].String())
	}
	if got := strings.Join(now, ", "); got != roles {
		w.t.Errorf("%s, at %v: %s, want %s\n%s", what, w.now, got, roles, w.story())
	}
}

func (w *world) story() string {
	s := strings.Join(w.log, "\n")
	for _, l := range w.lines {
		s += fmt.Sprintf("\n%s: %+v", l.name, w.parts[l.name])
	}
	return s
}

const ms = time.Millisecond

func dsl() *line { return &line{name: "dsl", rate: 30, rtt: 40 * ms, queue: 40 * ms} }
func lte(mode link.Mode) *line {
	return &line{name: "lte", mode: mode, rate: 20, rtt: 60 * ms, queue: 60 * ms}
}
