package handover

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"tributary/measure/figure"
	"tributary/measure/transfer"
)

// A Report is what a [Run] found. All times are in ms since the first byte; those
// before it are negative.
type Report struct {
	Direction string   `json:"direction"`
	RateMbit  float64  `json:"rate_mbit"` // asked for; 0 is as fast as it goes
	Seconds   float64  `json:"seconds"`
	Bytes     int64    `json:"bytes"`
	Error     string   `json:"error,omitempty"` // what broke the transfer
	Gaps      []Gap    `json:"gaps"`            // of 100 ms and more
	Events    []Event  `json:"events"`
	Total     []Point  `json:"total"` // what arrived
	Links     []Line   `json:"links"` // what each carried, by the gateway's counts
	Losses    []Loss   `json:"losses"`
	Verdict   []string `json:"verdict"`
}

// A Gap is a time in which nothing arrived.
type Gap struct {
	AtMs float64 `json:"at_ms"`
	Ms   float64 `json:"ms"`
}

// An Event is something that happened to a link.
type Event struct {
	AtMs float64 `json:"at_ms"`
	Link string  `json:"link"`
	By   string  `json:"by"` // link, health, bundle, or cut: this test itself
	From string  `json:"from"`
	To   string  `json:"to"`
	Why  string  `json:"why,omitempty"`
}

// byCut is By of what the test has done itself.
const byCut = "cut"

// String writes the event for a person, without its time.
func (e Event) String() string {
	s := fmt.Sprintf("%s: %s → %s", e.Link, e.From, e.To)
	if e.To == "" {
		s = e.Link
	}
	if e.Why != "" {
		s += ": " + e.Why
	}
	return s
}

// A Point is a rate at a time.
type Point struct {
	AtMs float64 `json:"at_ms"`
	Mbit float64 `json:"mbit"`
}

// A Line is what a link carried.
type Line struct {
	Name   string  `json:"name"`
	Points []Point `json:"points"`
}

// rateStep is over what time rates are taken.
const rateStep = 500 * time.Millisecond

// report puts everything on the clock of the first byte.
func (w *watch) report(got transfer.Result, err error) *Report {
	end := got.Samples[len(got.Samples)-1].At
	r := &Report{
		Direction: map[bool]string{false: "down", true: "up"}[w.run.Up], RateMbit: float64(w.run.Rate) * 8 / 1e6,
		Seconds: end.Seconds(), Bytes: got.Bytes(), Gaps: []Gap{}, Events: []Event{}, Losses: []Loss{}, Total: rates(got.Samples),
	}
	if err != nil {
		r.Error = err.Error()
	}
	for _, g := range got.Gaps {
		r.Gaps = append(r.Gaps, Gap{ms(g.At), ms(g.For)})
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.events {
		e.AtMs = ms(e.at.Sub(got.Began))
		r.Events = append(r.Events, e.Event)
	}
	slices.SortStableFunc(r.Events, func(a, b Event) int { return cmp.Compare(a.AtMs, b.AtMs) })
	for _, name := range w.names {
		l := Line{Name: name}
		for _, p := range w.rates {
			if at := p.at.Sub(got.Began); p.link == name && at >= 0 && at <= end {
				l.Points = append(l.Points, Point{ms(at), p.mbit})
			}
		}
		r.Links = append(r.Links, l)
	}
	return r
}

// rates turns samples into a rate for each step.
func rates(samples []transfer.Sample) (all []Point) {
	if len(samples) == 0 {
		return nil
	}
	end := samples[len(samples)-1].At
	i, before := 0, transfer.Sample{}
	for at := rateStep; at <= end; at += rateStep {
		now := before
		for i < len(samples) && samples[i].At <= at {
			now = samples[i]
			i++
		}
		all = append(all, Point{ms(at), transfer.Mbit(now.Bytes-before.Bytes, rateStep)})
		before = now
	}
	return all
}

// Print writes events, gaps and the verdict for a person.
func (r *Report) Print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	type line struct {
		at   float64
		text string
	}
	var lines []line
	for _, e := range r.Events {
		lines = append(lines, line{e.AtMs, e.String()})
	}
	for _, g := range r.Gaps {
		lines = append(lines, line{g.AtMs, fmt.Sprintf("nothing arrives for %.0f ms", g.Ms)})
	}
	slices.SortStableFunc(lines, func(a, b line) int { return cmp.Compare(a.at, b.at) })
	for _, l := range lines {
		fmt.Fprintf(t, "%.1f s\t%s\n", l.at/1000, l.text)
	}
	if len(lines) > 0 {
		fmt.Fprintln(t)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, v := range r.Verdict {
		fmt.Fprintln(w, v)
	}
	return nil
}

// SVG draws the rate of each link and of what arrived over time.
func (r *Report) SVG() []byte {
	line := func(name string, points []Point) figure.Series {
		s := figure.Series{Name: name, Plain: true}
		for _, p := range points {
			s.Points = append(s.Points, figure.Point{X: p.AtMs / 1000, Y: p.Mbit})
		}
		return s
	}
	l := figure.Lines{
		Title: "Handover", About: "Rate of what arrived, and of what each link carried by the gateway's counts.",
		X: figure.Axis{Name: "time (s)"}, Y: figure.Axis{Name: "Mbit/s"},
	}
	for _, loss := range r.Losses {
		l.About += fmt.Sprintf(" %s was lost at %.1f s", loss.Link, loss.AtMs/1000)
		if loss.BackMs > 0 {
			l.About += fmt.Sprintf(" and back at %.1f s", loss.BackMs/1000)
		}
		l.About += fmt.Sprintf(": longest gap %.0f ms.", loss.GapMs)
	}
	for _, link := range r.Links {
		l.Series = append(l.Series, line(link.Name, link.Points))
	}
	l.Series = append(l.Series, line("arrived", r.Total))
	return l.SVG()
}
