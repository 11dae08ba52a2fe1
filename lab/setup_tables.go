package lab

import (
	"fmt"
	"io"
	"strings"
	"time"

	"tributary/measure"
)

// An Environment is where measurements were made.
type Environment struct {
	Date    time.Time `json:"date"`
	Program string    `json:"program"` // version and commit
	Kernel  string    `json:"kernel"`
	// Congestion is the congestion control of TCP on all hosts, by its name.
	Congestion string `json:"congestion"`
	Machine    string `json:"machine"` // in words
	Load       string `json:"load"`    // averages before the run
}

// WriteCurve writes setup times as a table in Markdown.
func (s *SetupTimes) WriteCurve(w io.Writer) {
	fmt.Fprint(w, "| R |")
	for _, way := range s.Ways {
		fmt.Fprintf(w, " %s |", way)
	}
	fmt.Fprintf(w, "\n|---|%s\n", strings.Repeat("---|", len(s.Ways)))
	for _, r := range s.lengths() {
		fmt.Fprintf(w, "| %g ms |", r)
		for _, way := range s.Ways {
			p, ok := s.curve(way, r)
			fmt.Fprintf(w, " %s |", mdCell(p.First, ok && p.Failed < p.Count))
		}
		fmt.Fprintln(w)
	}
}

// WriteSizes writes completion times as a table in Markdown.
func (s *SetupTimes) WriteSizes(w io.Writer) {
	sizes, ways := s.sizes()
	fmt.Fprint(w, "| size |")
	for _, way := range ways {
		fmt.Fprintf(w, " %s |", sizeWay(way))
	}
	fmt.Fprintf(w, "\n|---|%s\n", strings.Repeat("---|", len(ways)))
	for _, n := range sizes {
		fmt.Fprintf(w, "| %s |", measure.SizeText(n))
		for _, way := range ways {
			p, ok := s.size(way, n)
			fmt.Fprintf(w, " %s |", mdCell(p.Last, ok && p.Failed < p.Count))
		}
		fmt.Fprintln(w)
	}
}

// WriteBursts writes the bursts as a table in Markdown.
func (s *SetupTimes) WriteBursts(w io.Writer) {
	fmt.Fprint(w, "| way | opens | first byte, median | p95 | max | last byte, median | every link joined |\n|---|---|---|---|---|---|---|\n")
	for _, b := range s.Burst {
		joined := "-"
		if b.Sessions > 0 {
			joined = fmt.Sprintf("%d of %d", b.Joined, b.Sessions)
		}
		fmt.Fprintf(w, "| %s | %d | %.0f | %.0f | %.0f | %.0f | %s |\n", b.Way, b.Opens, b.First.Median, b.First.P95, b.First.Max, b.Last.Median, joined)
	}
}

func mdCell(s measure.Spread, ok bool) string {
	if !ok {
		return "-"
	}
	return fmt.Sprintf("%.0f / %.0f", s.Median, s.P95)
}
