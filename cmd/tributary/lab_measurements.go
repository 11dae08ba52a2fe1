package main

import (
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

// measurements runs what docs/measurements.md is about, or reads it from a report
// that "lab run setup --json" wrote, and writes that page and its figures.
func (l *labRun) measurements(ctx context.Context, args []string) error {
	var r *lab.Report
	var err error
	switch len(args) {
	case 1:
		r, err = l.measureSetup(ctx)
	case 2:
		r, err = readSetup(args[1])
	default:
		return labUsageError("measurements: want a directory, and perhaps a report")
	}
	if err != nil {
		return err
	}
	dir := args[0]
	figures := filepath.Join(dir, "figures")
	if err := os.MkdirAll(figures, 0o777); err != nil {
		return fmt.Errorf("make the directory of the figures: %w", err)
	}
	drawn := r.Setup.Figures()
	for _, name := range slices.Sorted(maps.Keys(drawn)) {
		if err := os.WriteFile(filepath.Join(figures, name), drawn[name], 0o666); err != nil {
			return fmt.Errorf("draw: %w", err)
		}
	}
	var page strings.Builder
	writeMeasurements(&page, r)
	if err := os.WriteFile(filepath.Join(dir, "measurements.md"), []byte(page.String()), 0o666); err != nil {
		return fmt.Errorf("write the page: %w", err)
	}
	return r.Print(l.std.out)
}

func (l *labRun) measureSetup(ctx context.Context) (*lab.Report, error) {
	if err := lab.Ready(); err != nil {
		return nil, err
	}
	s, _ := lab.ByName("setup")
	p := newProgress(l.std.err)
	l.options.Progress = p.step
	r := s.Run(ctx, l.options)
	p.close()
	switch {
	case ctx.Err() != nil:
		return nil, interrupted(ctx, ctx.Err())
	case r.Error != "":
		return nil, fmt.Errorf("lab measurements: %s", r.Error)
	}
	return r, nil
}

// readSetup reads the report of "lab run setup --json".
func readSetup(name string) (*lab.Report, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("lab measurements: %w", err)
	}
	var all struct{ Reports []*lab.Report }
	if err := json.Unmarshal(b, &all); err != nil {
		return nil, fmt.Errorf("lab measurements: %s: %w", name, err)
	}
	for _, r := range all.Reports {
		if r.Setup != nil && r.Error == "" {
			return r, nil
		}
	}
	return nil, errors.New("lab measurements: the report holds no finished run of setup")
}

const measurementsHead = `# Measurements

Made by %s; changes by hand are lost with the next run. All figures of this page are of one run, in the
[lab](architecture.md#tests-a-ladder): network namespaces on one machine, with emulated links and this very program.

| | |
|---|---|
| date | %s |
| program | %s |
| kernel | %s |
| machine | %s |
| load before the run | %s |

The reference lab: a DSL line of 30/10 Mbit/s with a round trip of R = 40 ms, an LTE line of 20/10 Mbit/s with 60 ms, and
P = 20 ms between relay and final server. Times are the client's. **Setup time** is that from the client's SYN to the
first byte of the answer.

## Targets

| what | measured | target | |
|---|---|---|---|
`

// notBuilt are the lines of the list of targets that nothing can be measured for.
const notBuilt = `
Not built or not measured yet: the second session on a recycled connection; raced opening; the banner of servers that speak
first; refusals in honest mode; replay of captured openings; the relay's rate of accepting; the idle cost of the pool; a
browser's page. They are part of the list, and no figure here stands for them.

`

func writeMeasurements(w *strings.Builder, r *lab.Report) {
	e := r.Setup.Environment
	fmt.Fprintf(w, measurementsHead, "`make measurements`", e.Date.UTC().Format(time.DateTime+" UTC"), e.Program, e.Kernel, e.Machine, e.Load)
	for _, f := range r.Figures {
		target, met := "", ""
		if f.Target != nil {
			target, met = f.Target.Text()+" "+f.Unit, "met"
			if !*f.Met {
				met = "**missed**"
			}
		}
		fmt.Fprintf(w, "| %s | %s %s | %s | %s |\n", f.Name, lab.NumberText(f.Value), f.Unit, strings.TrimSpace(target), met)
	}
	w.WriteString(notBuilt)
	w.WriteString("## Setup time against the round trip\n\n![Setup time against the round trip](figures/setup.svg)\n\n")
	r.Setup.WriteCurve(w)
	w.WriteString("\nMedian and 95th percentile in ms. \"SOCKS5\" goes step by step over Multipath TCP, to a server without a password and to our\n" +
		"relay in clear text with one; \"pipelined\" sends all of it at once. \"Cold\" are requests that found no warm connection.\n\n" +
		"## Where the time goes\n\n![SOCKS5 step by step](figures/ladder-socks5.svg)\n\n![Tributary, warm](figures/ladder-warm.svg)\n\n" +
		"## Completion time by size\n\n![Completion time by size](figures/completion-by-size.svg)\n\n")
	r.Setup.WriteSizes(w)
	w.WriteString("\nMedian and 95th percentile in ms, from the client's SYN to the last byte.\n\n## A burst after a rest\n\n")
	r.Setup.WriteBursts(w)
	w.WriteString("\nIn ms. The share with every link joined is read from the captured packets: the third packet of each MP_JOIN handshake\n" +
		"had arrived when the request left.\n")
}
