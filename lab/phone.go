package lab

import (
	"fmt"
	"io"

	"tributary/measure"
	"tributary/measure/figure"
	"tributary/measure/phone"
)

// A PhoneDay is the same list of connections carried out over two ways.
type PhoneDay struct {
	Connections int      `json:"connections"`
	Bytes       int      `json:"bytes"`
	Seconds     float64  `json:"seconds"` // from the first connection to the last
	Under10s    float64  `json:"under_10_s"`
	Under10kB   float64  `json:"under_10_kb"`
	Ways        []string `json:"ways"`
	// Waits are how long the phone's user waited for each connection by each way, in
	// ms: from its SYN to the last byte, without the user's own pauses. Those that
	// failed are 0.
	Waits  [][]float64 `json:"waits_ms"`
	Failed []int       `json:"failed"`
	// Size and Greeted say which connections these are.
	Size    []int  `json:"size"`
	Greeted []bool `json:"greeted"` // the server spoke first
}

// A phoneClass is some of the connections.
type phoneClass struct {
	name string
	has  func(size int, greeted bool) bool
}

var phoneClasses = []phoneClass{
	{"all", func(int, bool) bool { return true }},
	{"less than 10 kB", func(size int, _ bool) bool { return size < 10e3 }},
	{"10 to 100 kB", func(size int, _ bool) bool { return size >= 10e3 && size < 100e3 }},
	{"100 kB and more", func(size int, _ bool) bool { return size >= 100e3 }},
	{"the server speaks first", func(_ int, greeted bool) bool { return greeted }},
}

// of returns the waits of a class by both ways, and the share that was quicker by
// the second way, in percent. Where one way failed, both are left out.
func (p *PhoneDay) of(c phoneClass) (waits [2][]float64, quicker float64) {
	n := 0
	for i := range p.Size {
		first, second := p.Waits[0][i], p.Waits[1][i]
		if !c.has(p.Size[i], p.Greeted[i]) || first == 0 || second == 0 {
			continue
		}
		waits[0], waits[1] = append(waits[0], first), append(waits[1], second)
		if second < first {
			n++
		}
	}
	return waits, 100 * float64(n) / float64(max(len(waits[0]), 1))
}

// judge enters the figures: the second way is never to be the slower one.
func (p *PhoneDay) judge(r *Report) {
	waits, quicker := p.of(phoneClasses[0])
	if len(waits[0]) == 0 {
		r.notMeasured("a phone's day", "no connection worked by both ways")
	} else {
		first, second := measure.NewSpread(waits[0]), measure.NewSpread(waits[1])
		r.figure("wait for a connection, direct, median", first.Median, "ms", nil)
		r.figure("wait for a connection, Tributary, median", second.Median, "ms", atMost(first.Median))
		r.figure("wait for a connection, direct, p95", first.P95, "ms", nil)
		r.figure("wait for a connection, Tributary, p95", second.P95, "ms", atMost(first.P95))
		r.figure("connections with a shorter wait than direct", quicker, "%", nil)
	}
	r.check("every connection of the day works", p.Failed[0]+p.Failed[1] == 0, "%d direct and %d through the gateway failed", p.Failed[0], p.Failed[1])
}

// WriteSection writes the picture and a table of percentiles.
func (p *PhoneDay) WriteSection(w io.Writer) {
	fmt.Fprintf(w, "%d connections of a made-up day, the same list by both ways: %.0f %% last less than 10 s on the phone and %.0f %% carry less than\n"+
		"10 kB, as De Coninck et al. found (\"A First Analysis of Multipath TCP on Smartphones\", PAM 2016); how they come in bursts, to\n"+
		"%d servers, is made up. Time is compressed: %.1f MB in %.0f s of starts, and a connection's pauses are a tenth of real ones. A\n"+
		"wait is the time from the SYN to the last byte without those pauses. Both ways ask for addresses; no name is resolved. They\n"+
		"run at the same time, each in a network of its own.\n\n"+
		"![A phone's day](figures/phone-day.svg)\n\n"+
		"| connections | of them | direct: median | p90 | p95 | p99 | Tributary: median | p90 | p95 | p99 | quicker than direct |\n|---|---|---|---|---|---|---|---|---|---|---|\n",
		p.Connections, p.Under10s, p.Under10kB, phone.Servers, float64(p.Bytes)/1e6, p.Seconds)
	for _, c := range phoneClasses {
		waits, quicker := p.of(c)
		fmt.Fprintf(w, "| %s | %d |", c.name, len(waits[0]))
		for _, way := range waits {
			s := measure.NewSpread(way)
			fmt.Fprintf(w, " %.0f | %.0f | %.0f | %.0f |", s.Median, s.P90, s.P95, s.P99)
		}
		fmt.Fprintf(w, " %.0f %% |\n", quicker)
	}
	fmt.Fprint(w, "\nIn ms.\n")
}

// Figures returns the distribution.
func (p *PhoneDay) Figures() map[string][]byte {
	l := figure.Lines{
		Title: "A phone's day",
		About: fmt.Sprintf("How long each of %d connections made its user wait, from its SYN to the last byte without the user's own pauses; the same list by both ways. R = 40 and 60 ms, 20 ms from relay to final server.", p.Connections),
		X:     figure.Axis{Name: "wait (ms)", Log: true}, Y: figure.Axis{Name: "share of connections (%)"},
	}
	waits, _ := p.of(phoneClasses[0])
	// Ours in the first colour.
	for i := len(p.Ways) - 1; i >= 0; i-- {
		l.Series = append(l.Series, figure.Distribution(p.Ways[i], waits[i]))
	}
	return map[string][]byte{"phone-day.svg": l.SVG()}
}
