package lab

import (
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
	"time"
)

// A Report is what one run of a scenario found. It is broken if a Check failed or
// Error is set; a Figure that misses its target does not break it.
type Report struct {
	Scenario string   `json:"scenario"`
	About    string   `json:"about"`
	Figures  []Figure `json:"figures"`
	Checks   []Check  `json:"checks"`
	Error    string   `json:"error,omitempty"` // what ended the run early
	Seconds  float64  `json:"seconds"`         // that the run took
	Works    bool     `json:"works"`
	// NotMeasured names what could not be measured here and why, a line each: for
	// want of a program that is not installed, for instance.
	NotMeasured []string `json:"not_measured,omitempty"`
	// Setup is what the scenario "setup" measured besides.
	Setup *SetupTimes `json:"setup,omitempty"`
	// Answers is what "answers" measured besides.
	Answers *AnswerTimes `json:"answers,omitempty"`
	// Browser is what "browser" measured besides.
	Browser *PageLoads `json:"browser,omitempty"`
	// Replay is what "replay" saw.
	Replay *Replay `json:"replay,omitempty"`
	// Phone is what "phone-day" measured besides.
	Phone *PhoneDay `json:"phone,omitempty"`
	// Recycled is what "recycled" measured besides.
	Recycled *RecycledTimes `json:"recycled,omitempty"`
	// Raced is what "raced" measured besides.
	Raced *RacedTimes `json:"raced,omitempty"`
	// Courses are pictures of what "link-returns" and "floor-throttled" saw.
	Courses Courses `json:"courses,omitempty"`
}

// A Figure is one measured value, with the target it is held against, if any.
type Figure struct {
	Name   string  `json:"name"`
	Value  float64 `json:"value"`
	Unit   string  `json:"unit"`
	Target *Target `json:"target,omitempty"`
	Met    *bool   `json:"met,omitempty"` // present with a target
}

// A Target is a bound in the unit of its Figure. One of both is set.
type Target struct {
	AtLeast *float64 `json:"at_least,omitempty"`
	AtMost  *float64 `json:"at_most,omitempty"`
}

// A Check is something that has to be so.
type Check struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail,omitempty"` // what was seen instead, or in numbers
}

func atLeast(v float64) *Target { return &Target{AtLeast: &v} }
func atMost(v float64) *Target  { return &Target{AtMost: &v} }

func (t *Target) met(v float64) bool {
	return (t.AtLeast == nil || v >= *t.AtLeast) && (t.AtMost == nil || v <= *t.AtMost)
}

// Text writes the bound, or nothing for no target.
func (t *Target) Text() string {
	switch {
	case t == nil:
		return ""
	case t.AtLeast != nil:
		return "≥ " + NumberText(*t.AtLeast)
	}
	return "≤ " + NumberText(*t.AtMost)
}

func (r *Report) figure(name string, value float64, unit string, target *Target) {
	f := Figure{Name: name, Value: value, Unit: unit, Target: target}
	if target != nil {
		met := target.met(value)
		f.Met = &met
	}
	r.Figures = append(r.Figures, f)
}

// check enters what has to be so. The detail is kept either way.
func (r *Report) check(name string, ok bool, detail string, args ...any) bool {
	r.Checks = append(r.Checks, Check{name, ok, fmt.Sprintf(detail, args...)})
	return ok
}

// notMeasured enters what is left out of the report and why.
func (r *Report) notMeasured(what, why string) {
	r.NotMeasured = append(r.NotMeasured, what+": "+why)
}

// finish is called once, at the end of the run.
func (r *Report) finish(began time.Time, err error) {
	if err != nil {
		r.Error = err.Error()
	}
	r.Seconds = time.Since(began).Seconds()
	r.Works = err == nil && allOK(r.Checks)
}

func allOK(checks []Check) bool {
	for _, c := range checks {
		if !c.OK {
			return false
		}
	}
	return true
}

// Print writes the report for a person.
func (r *Report) Print(w io.Writer) error {
	state := "works"
	if !r.Works {
		state = "BROKEN"
	}
	fmt.Fprintf(w, "%s: %s (%.0f s)\n  %s\n", r.Scenario, state, r.Seconds, r.About)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, f := range r.Figures {
		met := ""
		if f.Met != nil {
			met = map[bool]string{true: "met", false: "miss"}[*f.Met]
		}
		// Padded by hand, for tabwriter aligns all columns to the same side.
		fmt.Fprintf(t, "  %s\t%8s %s\t%s\t%s\n", f.Name, NumberText(f.Value), f.Unit, f.Target.Text(), met)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if err := printChecks(w, r.Checks); err != nil {
		return err
	}
	if r.Setup != nil {
		if err := r.Setup.print(w); err != nil {
			return err
		}
	}
	if r.Browser != nil {
		if err := r.Browser.print(w); err != nil {
			return err
		}
	}
	for _, line := range r.NotMeasured {
		fmt.Fprintf(w, "  not measured: %s\n", line)
	}
	if r.Error != "" {
		fmt.Fprintf(w, "  ended early: %s\n", r.Error)
	}
	return nil
}

func printChecks(w io.Writer, checks []Check) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, c := range checks {
		fmt.Fprintf(t, "  %s\t%s\t%s\n", map[bool]string{true: "ok", false: "FAIL"}[c.OK], c.Name, c.Detail)
	}
	return t.Flush()
}

// NumberText writes a number with about three digits that matter.
func NumberText(v float64) string {
	switch {
	case v == float64(int64(v)):
		return strconv.FormatInt(int64(v), 10)
	case v >= 100 || v <= -100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v >= 10 || v <= -10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// A Step is a part of a long run, for a progress line. From and To are shares of
// the whole; Takes is what it usually takes.
type Step struct {
	Doing    string
	From, To float64
	Takes    time.Duration
}
