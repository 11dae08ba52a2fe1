package handover

import (
	"strings"
	"testing"
)

// steadyRates are so many Mbit/s in each half second from one time to the next.
func steadyRates(r *Report, from, to, mbit float64) {
	for at := from + 500; at <= to; at += 500 {
		r.Total = append(r.Total, Point{at, mbit})
	}
}

func TestVerdict(t *testing.T) {
	for _, c := range []struct {
		name   string
		report func(r *Report)
		want   []string
	}{
		{"nothing happens", func(r *Report) { steadyRates(r, 0, 30e3, 47) },
			[]string{"No link was lost in 30 s, and there was no gap of 100 ms."}},
		{"a gap without a cause", func(r *Report) { r.Gaps = []Gap{{5e3, 300}} },
			[]string{"The longest gap in delivery, 300 ms at 5.0 s, belongs to no loss of a link that the gateway knows of.", "No link was lost in 30 s."}},
		{"silent and back", func(r *Report) {
			r.Gaps = []Gap{{9800, 310}, {20200, 120}}
			r.Events = []Event{{10100, "lte", "health", "alive", "dead", "probes are missed"}, {10150, "lte", "link", "up", "silent", ""}, {20e3, "lte", "link", "silent", "up", ""}}
			steadyRates(r, 0, 10e3, 47)
			steadyRates(r, 10e3, 21500, 28)
			steadyRates(r, 21500, 30e3, 46)
		}, []string{"lte went silent at 10.1 s: the longest gap in delivery was 310 ms. Before, 47.0 Mbit/s arrived, and 28.0 without it. It was back at 20.0 s, and the full rate 2.0 s later.",
			"The transfer lasted to its end."}},
		{"unplugged, and not used again", func(r *Report) {
			r.Events = []Event{{10e3, "dsl", "link", "up", "down", ""}, {20e3, "dsl", "link", "down", "no-address", ""}, {20500, "dsl", "link", "no-address", "up", ""}}
			steadyRates(r, 0, 10e3, 47)
			steadyRates(r, 10e3, 30e3, 19)
		}, []string{"dsl went down at 10.0 s: nothing was felt of it, there was no gap of 100 ms. Before, 47.0 Mbit/s arrived, and 19.0 without it. It was back at 20.5 s, but the full rate was not until the end.",
			"The transfer lasted to its end."}},
		{"never back", func(r *Report) {
			r.Events = []Event{{10e3, "dsl", "link", "up", "absent", ""}}
			steadyRates(r, 0, 10e3, 47)
			steadyRates(r, 10e3, 30e3, 19)
		}, []string{"dsl was taken out at 10.0 s: nothing was felt of it, there was no gap of 100 ms. Before, 47.0 Mbit/s arrived, and 19.0 without it. It was not back until the end.",
			"The transfer lasted to its end."}},
		{"a call", func(r *Report) {
			r.RateMbit = 1
			r.Gaps = []Gap{{10020, 240}}
			r.Events = []Event{{10e3, "dsl", "cut", "up", "cut", ""}, {10200, "dsl", "health", "alive", "dead", ""}, {10200, "dsl", "link", "up", "silent", ""}, {20e3, "dsl", "cut", "cut", "up", ""}, {21e3, "dsl", "link", "silent", "up", ""}}
		}, []string{"dsl was cut off by this test at 10.0 s: the longest gap in delivery was 240 ms. It was back at 20.0 s.", "The transfer lasted to its end."}},
		{"a switch", func(r *Report) {
			r.RateMbit = 1
			r.Events = []Event{{10e3, "dsl", "bundle", "full", "out", "it harms"}, {15e3, "dsl", "bundle", "out", "full", ""}}
		}, []string{"dsl was set aside at 10.0 s: nothing was felt of it, there was no gap of 100 ms. It was back at 15.0 s.", "The transfer lasted to its end."}},
		{"broken", func(r *Report) { r.Error = "read: connection reset" },
			[]string{"The transfer broke at 30.0 s: read: connection reset."}},
	} {
		r := &Report{Seconds: 30}
		c.report(r)
		r.judge()
		if got := strings.Join(r.Verdict, "\n"); got != strings.Join(c.want, "\n") {
			t.Errorf("%s:\n%s\nwant\n%s", c.name, got, strings.Join(c.want, "\n"))
		}
	}
}
