package measure

import (
	"fmt"

	"tributary/measure/figure"
)

// SVG draws the report: the distribution of first and last byte where there is one
// size, else both against the size.
func (r *Report) SVG() []byte {
	if len(r.Runs) == 1 {
		run := r.Runs[0]
		var first, last []float64
		for _, s := range run.Samples {
			if s.Error == "" {
				first, last = append(first, s.FirstByteMs), append(last, s.LastByteMs)
			}
		}
		return figure.Lines{
			Title: "Setup time, " + r.way(), About: r.heading(run) + ", from " + r.Target + ". Time since the client's SYN.",
			X: figure.Axis{Name: "time (ms)"}, Y: figure.Axis{Name: "share of connections (%)"},
			Series: []figure.Series{figure.Distribution("first byte", first), figure.Distribution("last byte", last)},
		}.SVG()
	}
	first, last := figure.Series{Name: "first byte"}, figure.Series{Name: "last byte"}
	for _, run := range r.Runs {
		if run.Failed < len(run.Samples) {
			kB := float64(run.Size) / 1000
			first.Points = append(first.Points, figure.Point{X: kB, Y: run.First.Median, High: run.First.P95})
			last.Points = append(last.Points, figure.Point{X: kB, Y: run.Last.Median, High: run.Last.P95})
		}
	}
	return figure.Lines{
		Title: "Time by size, " + r.way(),
		About: fmt.Sprintf("%d connections for each size, from %s. Median since the client's SYN; whiskers reach the 95th percentile.", len(r.Runs[0].Samples), r.Target),
		X:     figure.Axis{Name: "size (kB)", Log: true}, Y: figure.Axis{Name: "time (ms)", Log: true},
		Series: []figure.Series{last, first},
	}.SVG()
}
