package measure

import (
	"fmt"
	"io"
	"math"
	"slices"
	"text/tabwriter"
)

// A Report is what a [Setup] found. It holds no user and no password.
type Report struct {
	Target    string  `json:"target"`
	Via       string  `json:"via"`
	Password  bool    `json:"password"` // one was sent
	Pipelined bool    `json:"pipelined"`
	Multipath bool    `json:"mptcp"` // was asked for
	Opens     int     `json:"burst_opens,omitempty"`
	WithinMs  float64 `json:"burst_within_ms,omitempty"`
	Reset     bool    `json:"reset,omitempty"`    // connections were ended so
	PauseMs   float64 `json:"pause_ms,omitempty"` // between connections
	Runs      []Run   `json:"runs"`               // one for each size
}

// A Run is all connections of one size.
type Run struct {
	Size   int64   `json:"size"` // in bytes; -1 is whatever the target answers
	Steps  []Named `json:"steps"`
	First  Spread  `json:"first_byte_ms"` // since the SYN: the setup time
	Last   Spread  `json:"last_byte_ms"`  // since the SYN
	Failed int     `json:"failed"`
	// Fallback counts connections that asked for MPTCP and became TCP.
	Fallback int      `json:"fallback"`
	Samples  []Sample `json:"samples"` // in the order of their beginning
}

// A Named is the spread of one step, in ms since the step before.
type Named struct {
	Name string `json:"name"`
	Spread
}

// A Sample is one connection. Steps follow one another; those that failed are
// missing at the end.
type Sample struct {
	StartMs     float64 `json:"start_ms"` // since the first one's
	Steps       []Step  `json:"steps"`
	FirstByteMs float64 `json:"first_byte_ms"`
	LastByteMs  float64 `json:"last_byte_ms"`
	Bytes       int64   `json:"bytes"`
	Multipath   bool    `json:"mptcp"` // at its end
	Error       string  `json:"error,omitempty"`
}

// A Step is a part of a connection's life.
type Step struct {
	Name string  `json:"name"`
	Ms   float64 `json:"ms"`
}

// A Spread is how values lie. Percentiles are values that occurred: the smallest
// one that is not below the given share of all (nearest rank).
type Spread struct {
	Min    float64 `json:"min"`
	Median float64 `json:"median"`
	P90    float64 `json:"p90"`
	P95    float64 `json:"p95"`
	P99    float64 `json:"p99"`
	Max    float64 `json:"max"`
}

// NewSpread sorts a copy of the values. None gives the zero Spread.
func NewSpread(values []float64) Spread {
	if len(values) == 0 {
		return Spread{}
	}
	v := slices.Sorted(slices.Values(values))
	at := func(share float64) float64 {
		return v[min(len(v)-1, max(0, int(math.Ceil(share*float64(len(v))-1e-9))-1))]
	}
	return Spread{v[0], at(0.5), at(0.9), at(0.95), at(0.99), v[len(v)-1]}
}

func newRun(size int64, samples []Sample, multipath bool) Run {
	r := Run{Size: size, Samples: samples}
	var first, last []float64
	var names []string
	steps := map[string][]float64{}
	for _, s := range samples {
		if s.Error != "" {
			r.Failed++
			continue
		}
		first, last = append(first, s.FirstByteMs), append(last, s.LastByteMs)
		for _, step := range s.Steps {
			if _, ok := steps[step.Name]; !ok {
				names = append(names, step.Name)
			}
			steps[step.Name] = append(steps[step.Name], step.Ms)
		}
		if multipath && !s.Multipath {
			r.Fallback++
		}
	}
	r.First, r.Last = NewSpread(first), NewSpread(last)
	for _, name := range names {
		r.Steps = append(r.Steps, Named{name, NewSpread(steps[name])})
	}
	return r
}

// Print writes a table for a person.
func (r *Report) Print(w io.Writer) error {
	fmt.Fprintf(w, "%s\n%s\n", r.Target, r.way())
	for _, run := range r.Runs {
		fmt.Fprintf(w, "\n%s\n", r.heading(run))
		t := tabwriter.NewWriter(w, 0, 0, 3, ' ', tabwriter.AlignRight)
		fmt.Fprintf(t, "ms\tmin\tmedian\tp90\tp95\tp99\tmax\t\n")
		for _, s := range run.Steps {
			printSpread(t, s.Name, s.Spread)
		}
		if len(run.Samples) > run.Failed {
			printSpread(t, "SYN to first byte", run.First)
			printSpread(t, "SYN to last byte", run.Last)
		}
		if err := t.Flush(); err != nil {
			return err
		}
		printErrors(w, run)
	}
	return nil
}

func (r *Report) way() string {
	s := "via " + r.Via
	for _, word := range []struct {
		is   bool
		word string
	}{{r.Password, "with a password"}, {r.Pipelined, "pipelined"}, {r.Multipath, "over MPTCP"}} {
		if word.is {
			s += ", " + word.word
		}
	}
	return s
}

func (r *Report) heading(run Run) string {
	s := fmt.Sprintf("%d connections", len(run.Samples))
	if r.Opens > 0 {
		s = fmt.Sprintf("%d connections within %s ms", r.Opens, trim(r.WithinMs))
	} else if len(run.Samples) == 1 {
		s = "1 connection"
	}
	if run.Size >= 0 {
		s += ", " + SizeText(run.Size) + " each"
	}
	if run.Failed > 0 {
		s += fmt.Sprintf(", %d FAILED", run.Failed)
	}
	if r.Multipath && run.Fallback > 0 {
		s += fmt.Sprintf(", %d were plain TCP", run.Fallback)
	}
	return s
}

func trim(v float64) string { return fmt.Sprintf("%g", v) }

func printSpread(w io.Writer, name string, s Spread) {
	fmt.Fprintf(w, "%s", name)
	for _, v := range []float64{s.Min, s.Median, s.P90, s.P95, s.P99, s.Max} {
		fmt.Fprintf(w, "\t%.1f", v)
	}
	fmt.Fprint(w, "\t\n")
}

// printErrors writes each different error once.
func printErrors(w io.Writer, run Run) {
	count := map[string]int{}
	var texts []string
	for _, s := range run.Samples {
		if s.Error != "" {
			if count[s.Error]++; count[s.Error] == 1 {
				texts = append(texts, s.Error)
			}
		}
	}
	for _, text := range texts {
		fmt.Fprintf(w, "%d failed: %s\n", count[text], text)
	}
}
