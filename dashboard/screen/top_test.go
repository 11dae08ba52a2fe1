package screen

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"tributary/gateway"
)

// watched is a Top after a minute of a download that grows, as of noon.
func watched() *Top {
	t := &Top{Address: "127.0.0.1:8081"}
	for i := 70; i >= 0; i-- {
		s := busy()
		at := noon.Add(-time.Duration(i) * time.Second)
		s.Now = at.Format(time.RFC3339Nano)
		for j := range s.Links {
			s.Links[j].RateDown *= float64(70-i) / 70
			s.Links[j].RateUp *= float64(i%10) / 10
		}
		f := &s.Sessions.List[0].Subflows[0]
		f.BytesDown -= uint64(i) * 3_400_000
		f.BytesUp -= uint64(i) * 50_000 / 70
		t.Answer(s, at)
	}
	return t
}

func TestFrames(t *testing.T) {
	expanded := func() *Top { top := watched(); top.Press('e'); return top }
	for _, c := range []struct {
		name          string
		top           *Top
		width, height int
		keys          string
	}{
		{"top-60x15", watched(), 60, 15, ""},
		{"top-80x24", watched(), 80, 24, ""},
		{"top-80x24-subflows", expanded(), 80, 24, ""},
		{"top-120x40-subflows", expanded(), 120, 40, ""},
		{"top-40x8", watched(), 40, 8, ""},
		{"top-help", watched(), 60, 15, "?"},
		{"top-by-age", watched(), 80, 24, "ss"},
	} {
		for _, k := range Keys(c.keys) {
			c.top.Press(k)
		}
		frame := c.top.Frame(c.width, c.height, noon)
		if len(frame) != c.height {
			t.Errorf("%s has %d lines", c.name, len(frame))
		}
		golden(t, c.name, Look{}, frame, c.width)
	}
	golden(t, "top-colors", Look{Color: true}, watched().Frame(80, 24, noon), 80)
	golden(t, "top-ascii", Look{ASCII: true}, expanded().Frame(80, 24, noon), 80)

	quiet, unanswered := &Top{Address: "127.0.0.1:8081"}, &Top{Address: "127.0.0.1:8081"}
	golden(t, "top-waiting", Look{}, unanswered.Frame(60, 15, noon), 60)
	quiet.Answer(calm(), noon)
	golden(t, "top-calm", Look{}, quiet.Frame(80, 15, noon), 80)
	before := &Top{Address: "127.0.0.1:8081"}
	before.Answer(old(t), noon)
	golden(t, "top-old", Look{}, before.Frame(80, 15, noon), 80)
	after := &Top{Address: "127.0.0.1:8081"}
	after.Answer(young(t), noon)
	after.Press('e')
	golden(t, "top-young", Look{}, after.Frame(80, 15, noon), 80)
}

// A gateway that goes away and comes back is told of; what it said last stays.
func TestGatewayGoesAndComesBack(t *testing.T) {
	top := watched()
	top.Fail("dial tcp 127.0.0.1:8081: connect: connection refused", noon)
	top.Fail("dial tcp 127.0.0.1:8081: connect: connection refused", noon.Add(12*time.Second))
	golden(t, "top-gone", Look{}, top.Frame(80, 24, noon.Add(13*time.Second)), 80)
	s := busy()
	s.Now = noon.Add(15 * time.Second).Format(time.RFC3339Nano)
	s.Sessions = gateway.SessionStatus{Open: 1, Total: 1, List: s.Sessions.List[:1]}
	s.Sessions.List[0].ID = 1
	top.Answer(s, noon.Add(15*time.Second))
	golden(t, "top-back", Look{}, top.Frame(80, 24, noon.Add(16*time.Second)), 80)
	if got := fmt.Sprint(top.trouble(noon.Add(21 * time.Second))); got != "[]" {
		t.Errorf("still told: %s", got)
	}
}

// Every frame has the size that was asked for, whatever that is and whatever is to be
// shown, and where the person has scrolled to stays within it.
func TestFramesFit(t *testing.T) {
	many := busy()
	for i := range 300 {
		s := many.Sessions.List[0]
		s.ID, s.RateDown = int64(1000+i), float64(i)
		many.Sessions.List = append(many.Sessions.List, s)
		if i < 30 {
			many.Links = append(many.Links, many.Links[i%5])
		}
	}
	for _, s := range []*gateway.Status{busy(), calm(), many, {}} {
		top := &Top{Address: "127.0.0.1:8081"}
		top.Answer(s, noon)
		for _, keys := range []string{"", "e", "\x1b[F", "\x1b[6~", "\x1b[H", "s"} {
			for _, k := range Keys(keys) {
				top.Press(k)
			}
			for width := 0; width <= 200; width += 13 {
				for height := 0; height <= 60; height += 6 {
					frame := top.Frame(width, height, noon)
					if len(frame) != height {
						t.Fatalf("%d x %d: %d lines", width, height, len(frame))
					}
					for _, l := range frame {
						if l.width() > width {
							t.Fatalf("%d x %d: %q", width, height, Look{}.Text(l))
						}
					}
				}
			}
		}
	}
}

func TestScrolling(t *testing.T) {
	s := busy()
	s.Sessions.List = nil
	for i := range 100 {
		s.Sessions.List = append(s.Sessions.List, gateway.Session{ID: int64(i), To: fmt.Sprintf("server-%02d:443", i), RateDown: float64(100 - i)})
	}
	top := &Top{}
	top.Answer(s, noon)
	first := func() string {
		for _, l := range top.Frame(80, 40, noon) {
			text := Look{}.Text(l)
			if len(text) > 9 && text[:7] == "server-" {
				return text[:9]
			}
		}
		return ""
	}
	for _, c := range []struct{ keys, want string }{
		{"", "server-00"}, {"\x1b[A", "server-00"}, {"\x1b[B", "server-01"}, {"\x1bOBj", "server-03"}, {"k", "server-02"},
		{"\x1b[6~", "server-12"}, {"\x1b[5~", "server-02"}, {"\x1b[5~", "server-00"}, {"\x1b[F", "server-8"}, {"\x1b[1~", "server-00"},
	} {
		for _, k := range Keys(c.keys) {
			top.Press(k)
		}
		if got := first(); len(got) < len(c.want) || got[:len(c.want)] != c.want {
			t.Errorf("after %q the first is %q, want %q", c.keys, got, c.want)
		}
	}
}

func TestKeys(t *testing.T) {
	for _, c := range []struct {
		sent string
		want []Key
	}{
		{"qs", []Key{'q', 's'}},
		{"\x03\x04\x1c\x1a\x0c", []Key{Interrupt, Interrupt, Interrupt, Suspend, Redraw}},
		{"\x1b[A\x1bOB\x1b[5~\x1b[6~\x1b[H\x1b[4~", []Key{Up, Down, PageUp, PageDown, Home, End}},
		{"\x1b[1;5Aq\x1b[200~x", []Key{'q', 'x'}},
		{"\x1b", nil},
		{"\x1b[", nil},
		{"\x1bq", []Key{'q'}}, // Alt
		{"é\x00\r\n ", nil},
	} {
		if got := Keys(c.sent); fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%q: %v, want %v", c.sent, got, c.want)
		}
	}
}

func TestPress(t *testing.T) {
	top := watched()
	for _, k := range []Key{'q', Interrupt} {
		if !top.Press(k) {
			t.Errorf("%c does not quit", k)
		}
	}
	top.Press('?')
	if !top.help || top.Press('e') || top.help || top.expand {
		t.Error("help does not end with the next key, or that key does more")
	}
	if top.Press('?'); !top.Press('q') {
		t.Error("help keeps q from quitting")
	}
}

func TestSpark(t *testing.T) {
	of := func(rates ...float64) *history {
		h := &history{}
		for _, v := range rates {
			h.add(v)
		}
		return h
	}
	long := &history{}
	for i := range historyKept + 5 {
		long.add(float64(i))
	}
	if len(long.rates) != historyKept || long.rates[0] != 5 || long.most() != 64 {
		t.Errorf("%d values from %v", len(long.rates), long.rates[0])
	}
	for _, c := range []struct {
		h     *history
		width int
		most  float64
		want  string
	}{
		{of(), 3, 1, "   "},
		{of(1, 2), 3, 0, "   "},
		{of(0, 0.001, 4, 8), 60, 8, strings.Repeat(" ", 57) + "▁▅█"},
		{of(8, 0), 30, 8, strings.Repeat(" ", 29) + "▅"},        // two seconds in one bar
		{of(8, 0, 2), 30, 8, strings.Repeat(" ", 28) + "▅▃"},    // the next one has begun
		{of(8, 0, 2, 2), 30, 8, strings.Repeat(" ", 28) + "▅▃"}, // and is full
		{long, 6, 64, "▂▄▅▆▇█"},                                 // 10 s each, the newest of five
	} {
		if got := c.h.spark(c.width, c.most); got != c.want {
			t.Errorf("%v: %q, want %q", c.h, got, c.want)
		}
	}
}
