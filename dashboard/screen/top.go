package screen

import (
	"cmp"
	"slices"
	"time"

	"tributary/gateway"
)

// A Top is what "tributary top" knows: the last answer of the gateway, what became
// of the rates over a minute, and what the person in front of it has chosen. Its zero
// value is one that was not answered yet.
type Top struct {
	Address string         // where the gateway is asked
	Zone    *time.Location // of the person's clock; nil is UTC

	status   *gateway.Status // nil before the first answer
	answered time.Time
	failed   string    // why the last question was not answered, or ""
	since    time.Time // when that began
	back     time.Time // when it was over
	outage   time.Duration

	down, up map[string]*history
	paces    map[subflowKey]pace
	counts   map[subflowKey]count

	sort   order
	scroll int
	expand bool
	help   bool
}

// A subflowKey names a subflow of a session.
type subflowKey struct {
	session       int64
	local, remote string
}

// A count is what a subflow had carried when the gateway said so.
type count struct {
	at       time.Time
	up, down uint64
}

// An order is one in which sessions stand.
type order int

const (
	byRate order = iota
	byBytes
	byAge
	numOrders
)

func (o order) String() string { return [...]string{"rate", "bytes", "age"}[o] }

// Answer takes what the gateway has said. It is to be asked once a second.
func (t *Top) Answer(s *gateway.Status, now time.Time) {
	if t.failed != "" {
		t.back, t.outage, t.failed = now, now.Sub(t.since), ""
	}
	t.status, t.answered = s, now
	if t.down == nil {
		t.down, t.up = make(map[string]*history), make(map[string]*history)
	}
	for i := range s.Links {
		l := &s.Links[i]
		if t.down[l.Name] == nil {
			t.down[l.Name], t.up[l.Name] = &history{}, &history{}
		}
		t.down[l.Name].add(l.RateDown)
		t.up[l.Name].add(l.RateUp)
	}
	t.measure(clock(s, now))
	t.arrange()
}

// measure works out how fast subflows are, by what they had carried the last time.
func (t *Top) measure(now time.Time) {
	counts, paces := make(map[subflowKey]count), make(map[subflowKey]pace)
	for i := range t.status.Sessions.List {
		s := &t.status.Sessions.List[i]
		for j := range s.Subflows {
			f := &s.Subflows[j]
			key := subflowKey{s.ID, f.Local, f.Remote}
			c := count{now, f.BytesUp, f.BytesDown}
			was, known := t.counts[key]
			span := now.Sub(was.at).Seconds()
			switch {
			case known && span <= 0:
				c, paces[key] = was, t.paces[key]
			case known && f.BytesUp >= was.up && f.BytesDown >= was.down:
				paces[key] = pace{8 * float64(f.BytesUp-was.up) / span, 8 * float64(f.BytesDown-was.down) / span}
			}
			counts[key] = c
		}
	}
	t.counts, t.paces = counts, paces
}

// arrange puts the sessions in the order that was chosen.
func (t *Top) arrange() {
	if t.status == nil {
		return
	}
	slices.SortStableFunc(t.status.Sessions.List, func(a, b gateway.Session) int {
		by := 0
		switch t.sort {
		case byRate:
			by = cmp.Compare(b.RateUp+b.RateDown, a.RateUp+a.RateDown)
		case byBytes:
			by = cmp.Compare(b.BytesUp+b.BytesDown, a.BytesUp+a.BytesDown)
		case byAge:
			by = cmp.Compare(b.AgeS, a.AgeS)
		}
		return cmp.Or(by, cmp.Compare(b.ID, a.ID))
	})
}

// Fail notes that the gateway did not answer, and why.
func (t *Top) Fail(why string, now time.Time) {
	if t.failed == "" {
		t.since = now
	}
	t.failed = why
}

// Press does what a key asks for, and reports whether that is to end.
func (t *Top) Press(k Key) (quit bool) {
	if t.help && k != Interrupt && k != 'q' {
		t.help = false
		return false
	}
	const page = 10
	switch k {
	case 'q', Interrupt:
		return true
	case 's':
		t.sort = (t.sort + 1) % numOrders
		t.arrange()
	case 'l', 'e':
		t.expand = !t.expand
	case '?', 'h':
		t.help = true
	case Up, 'k':
		t.scroll--
	case Down, 'j':
		t.scroll++
	case PageUp:
		t.scroll -= page
	case PageDown:
		t.scroll += page
	case Home, 'g':
		t.scroll = 0
	case End, 'G':
		t.scroll = 1 << 30
	}
	t.scroll = max(0, t.scroll)
	return false
}
