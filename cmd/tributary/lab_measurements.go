package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"tributary/lab"
)

// measured are the scenarios of docs/measurements.md, in the order of the page: those
// that have targets. Holds says what is missing from the page without the scenario.
var measured = []struct{ scenario, title, holds string }{
	{"setup", "Opening a connection", "setup and completion times"},
	{"answers", "Answers and refusals", "banners, refusals and early answers"},
	{"recycled", "A recycled connection", "the second session on a recycled connection"},
	{"raced", "Raced opening", "opening over two links at once when the best one is doubtful"},
	{"rate", "The relay's rate of accepting", "the relay's rate of accepting against sing-box"},
	{"fast-open", "TCP Fast Open towards final servers", "TCP Fast Open towards final servers"},
	{"replay", "Replayed openings", "replay of captured openings"},
	{"idle-cost", "What the pool costs at rest", "the idle cost of the pool"},
	{"phone-day", "A phone's day", "the distribution over a synthetic phone day"},
	{"browser", "A browser's page", "a browser's page"},
}

// reportFile is where the measurements lie beside the page.
const reportFile = "measurements.json"

// measurements runs what docs/measurements.md is about, or reads it from a report
// of an earlier run, and writes that page and its figures.
func (l *labRun) measurements(ctx context.Context, args []string) error {
	var set *lab.Measurements
	var err error
	switch len(args) {
	case 1:
		set, err = l.measure(ctx)
	case 2:
		set, err = readMeasurements(args[1])
	default:
		return labUsageError("measurements: want a directory, and perhaps a report")
	}
	if err != nil {
		return err
	}
	dir := args[0]
	if err := os.MkdirAll(filepath.Join(dir, "figures"), 0o777); err != nil {
		return fmt.Errorf("make the directory of the figures: %w", err)
	}
	b, err := json.Marshal(set)
	if err != nil {
		return err
	}
	// A line for each scenario, so that a difference can be looked at.
	b = append(bytes.ReplaceAll(b, []byte(`{"scenario":`), []byte("\n"+`{"scenario":`)), '\n')
	files := map[string][]byte{reportFile: b, "measurements.md": []byte(measurementsPage(set))}
	for _, r := range set.Reports {
		for _, s := range r.Sections() {
			for name, svg := range s.Figures() {
				files[filepath.Join("figures", name)] = svg
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := os.WriteFile(filepath.Join(dir, name), files[name], 0o666); err != nil {
			return fmt.Errorf("write the measurements: %w", err)
		}
	}
	return broken(set)
}

// measure runs every scenario of the page that this program has. What goes wrong
// with one of them is for the page to say.
func (l *labRun) measure(ctx context.Context) (*lab.Measurements, error) {
	if err := lab.Ready(); err != nil {
		return nil, err
	}
	var scenarios []lab.Scenario
	for _, m := range measured {
		if s, ok := lab.ByName(m.scenario); ok {
			scenarios = append(scenarios, s)
		}
	}
	return l.runAll(ctx, scenarios, func(r *lab.Report) error { return r.Print(l.std.out) })
}

// readMeasurements reads what an earlier run, or "lab run NAME... --json", wrote.
func readMeasurements(name string) (*lab.Measurements, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("lab measurements: %w", err)
	}
	var set lab.Measurements
	if err := json.Unmarshal(b, &set); err != nil {
		return nil, fmt.Errorf("lab measurements: %s: %w", name, err)
	}
	if len(set.Reports) == 0 {
		return nil, errors.New("lab measurements: there is no report in " + name)
	}
	return &set, nil
}

const measurementsHead = `# Measurements

Made by %s; changes by hand are lost with the next run. All figures of this page are of one run, in the
[lab](architecture.md#tests-a-ladder): network namespaces on one machine, with emulated links and this very program. The same
values are in %s, from which the page can be written again.

| | |
|---|---|
| date | %s |
| took | %s |
| program | %s |
| kernel | %s |
| congestion control | %s |
| machine | %s |
| load before the run | %s |

The reference lab: a DSL line of 30/10 Mbit/s with a round trip of R = 40 ms, an LTE line of 20/10 Mbit/s with 60 ms, and
P = 20 ms between relay and final server. Times are the client's. **Setup time** is that from the client's SYN to the
first byte of the answer.

## Targets

`

// measurementsPage writes all that is known. A scenario that is missing is named.
func measurementsPage(set *lab.Measurements) string {
	var w strings.Builder
	e := set.Environment
	took := time.Duration(set.Seconds * float64(time.Second)).Round(time.Second)
	fmt.Fprintf(&w, measurementsHead, "`make measurements`", "`docs/"+reportFile+"`",
		e.Date.UTC().Format(time.DateTime+" UTC"), took, e.Program, e.Kernel, e.Congestion, e.Machine, e.Load)
	writeTargets(&w, set)
	writeGaps(&w, set)
	for _, m := range measured {
		r := reportOf(set, m.scenario)
		if r == nil || len(r.Sections()) == 0 {
			continue
		}
		fmt.Fprintf(&w, "\n## %s\n\n", m.title)
		for _, s := range r.Sections() {
			s.WriteSection(&w)
		}
	}
	return w.String()
}

func reportOf(set *lab.Measurements, scenario string) *lab.Report {
	for _, r := range set.Reports {
		if r.Scenario == scenario {
			return r
		}
	}
	return nil
}

// writeTargets writes one table with all figures.
func writeTargets(w *strings.Builder, set *lab.Measurements) {
	met, of := countTargets(set)
	fmt.Fprintf(w, "%d of %d targets are met.\n\n", met, of)
	w.WriteString("| what | measured | target | |\n|---|---|---|---|\n")
	for _, m := range measured {
		r := reportOf(set, m.scenario)
		if r == nil || len(r.Figures) == 0 {
			continue
		}
		fmt.Fprintf(w, "| **%s** | | | |\n", m.title)
		for _, f := range r.Figures {
			target, met := "", ""
			if f.Target != nil {
				target, met = f.Target.Text()+" "+f.Unit, "met"
				if !isMet(f) {
					met = "**missed**"
				}
			}
			value := strings.TrimSpace(lab.NumberText(f.Value) + " " + f.Unit)
			fmt.Fprintf(w, "| %s | %s | %s | %s |\n", f.Name, value, strings.TrimSpace(target), met)
		}
	}
}

func countTargets(set *lab.Measurements) (met, of int) {
	for _, r := range set.Reports {
		for _, f := range r.Figures {
			if f.Target == nil {
				continue
			}
			if of++; isMet(f) {
				met++
			}
		}
	}
	return met, of
}

func isMet(f lab.Figure) bool { return f.Met != nil && *f.Met }

// writeGaps names what no figure stands for, and what is broken.
func writeGaps(w *strings.Builder, set *lab.Measurements) {
	var gaps, faults []string
	for _, m := range measured {
		r := reportOf(set, m.scenario)
		if r == nil {
			why := "it was left out of this run"
			if _, ok := lab.ByName(m.scenario); !ok {
				why = "this program has no scenario for it"
			}
			gaps = append(gaps, m.holds+": "+why)
			continue
		}
		gaps = append(gaps, r.NotMeasured...)
		if r.Error != "" {
			gaps = append(gaps, fmt.Sprintf("%s, or a part of that: the scenario `%s` ended early: %s", m.holds, m.scenario, r.Error))
		}
		for _, c := range r.Checks {
			if !c.OK {
				faults = append(faults, fmt.Sprintf("`%s`: %s: %s", m.scenario, c.Name, c.Detail))
			}
		}
	}
	for _, list := range []struct {
		head  string
		lines []string
	}{{"Not measured:", gaps}, {"**Broken in this run:**", faults}} {
		if len(list.lines) > 0 {
			fmt.Fprintf(w, "\n%s\n\n- %s\n", list.head, strings.Join(list.lines, "\n- "))
		}
	}
}
