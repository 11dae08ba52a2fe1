package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"tributary/lab"
)

const labUsage = `
tributary lab demo               [--json] [--log]
tributary lab list
tributary lab run NAME...|all    [--json] [--log] [--length TIME] [--seed N]
tributary lab shell              [--log]
tributary lab measurements DIR [REPORT] [--part setup|links]

Emulated links in network namespaces: a home with a DSL and an LTE line, a relay
and a final server, all on this machine, with this very program as gateway and
relay. Needs Linux and root, and changes nothing outside its own namespaces.

demo   does the main job once and measures it, in less than two minutes
list   names the scenarios, which are good and bad days
run    runs them ("all" is all but the soak, which takes half an hour); a missed target is shown, only a broken function is a failure
shell  gives a shell in the home host, with gateway and relay running
measurements
       runs what has targets and writes a page, its figures and all values as JSON
       into a directory; with such JSON as REPORT it only writes the page. --part
       renews one part of the page and keeps the other`

func runLab(ctx context.Context, std stdio, args []string) error {
	fs := newFlags("lab", labUsage, std)
	asJSON := fs.Bool("json", false, "print one JSON document")
	showLog := fs.Bool("log", false, "show the log of relay and gateway")
	length := fs.Duration("length", 0, "of run: how long the transfers of a scenario take, or the soak, where that is a matter of choice")
	seed := fs.Uint64("seed", 1, "of run: what the faults of the soak are drawn from")
	part := fs.String("part", "", "of measurements: only this `PART`, setup or links")
	rest, err := parseSome(fs, args)
	if err != nil {
		return err
	}
	if len(rest) == 0 {
		return labUsageError("what to do is missing")
	}
	if *part != "" && (rest[0] != "measurements" || !slices.ContainsFunc(pageParts, func(p pagePart) bool { return p.name == *part })) {
		return labUsageError("--part is for measurements, and setup or links")
	}
	if *length < 0 {
		return labUsageError("--length is a time from now on")
	}
	l := &labRun{std: std, json: *asJSON, part: *part, options: lab.Options{Length: *length, Seed: *seed}}
	if *showLog {
		l.options.Log = std.err
	}
	switch verb, names := rest[0], rest[1:]; {
	case verb == "run":
		return l.run(ctx, names)
	case verb == "measurements":
		return l.measurements(ctx, names)
	case verb != "demo" && verb != "list" && verb != "shell":
		return labUsageError("no command %q", verb)
	case len(names) > 0:
		return labUsageError("%s: unexpected argument %q", verb, names[0])
	case verb == "list":
		return l.list()
	case verb == "shell":
		return l.shell(ctx)
	}
	return l.demo(ctx)
}

func labUsageError(format string, args ...any) error {
	return &usageError{fmt.Errorf("lab: "+format, args...), "tributary lab --help"}
}

// A labRun is one call of "tributary lab".
type labRun struct {
	std     stdio
	json    bool
	part    string // of the measurements; "" is all
	options lab.Options
}

func (l *labRun) demo(ctx context.Context) error {
	if err := lab.Ready(); err != nil {
		return err
	}
	p := newProgress(l.std.err)
	l.options.Progress = p.step
	d, err := lab.RunDemo(ctx, l.options)
	p.close()
	if err != nil {
		return interrupted(ctx, err)
	}
	if err := l.print(d, d.Print); err != nil {
		return err
	}
	if !d.Works {
		return errors.New("lab demo: the job was not done")
	}
	return nil
}

func (l *labRun) list() error {
	t := tabwriter.NewWriter(l.std.out, 0, 0, 2, ' ', 0)
	for _, s := range lab.Scenarios() {
		fmt.Fprintf(t, "%s\t%v\t%s\n", s.Name, s.Takes, s.About)
	}
	return t.Flush()
}

func (l *labRun) run(ctx context.Context, names []string) error {
	if err := lab.Ready(); err != nil {
		return err
	}
	scenarios, err := chooseScenarios(names)
	if err != nil {
		return err
	}
	set, err := l.runAll(ctx, scenarios, func(r *lab.Report) error {
		if l.json {
			return nil
		}
		err := r.Print(l.std.out)
		fmt.Fprintln(l.std.out)
		return err
	})
	if err != nil {
		return err
	}
	if l.json {
		if err := l.print(set, nil); err != nil {
			return err
		}
	}
	return broken(set)
}

// runAll runs scenarios one after the other, whatever becomes of each, and hands
// every report to done.
func (l *labRun) runAll(ctx context.Context, scenarios []lab.Scenario, done func(*lab.Report) error) (*lab.Measurements, error) {
	began := time.Now()
	set := &lab.Measurements{Environment: lab.Here(), Works: true}
	for i, s := range scenarios {
		p := newProgress(l.std.err)
		l.options.Progress = func(step lab.Step) {
			step.Doing = fmt.Sprintf("%s (%d of %d): %s", s.Name, i+1, len(scenarios), step.Doing)
			p.step(step)
		}
		r := s.Run(ctx, l.options)
		p.close()
		if ctx.Err() != nil {
			return nil, interrupted(ctx, ctx.Err())
		}
		set.Reports = append(set.Reports, r)
		set.Works = set.Works && r.Works
		set.Seconds = time.Since(began).Seconds()
		if err := done(r); err != nil {
			return nil, err
		}
	}
	return set, nil
}

// broken is the error that names the scenarios of which a function is broken.
func broken(set *lab.Measurements) error {
	var names []string
	for _, r := range set.Reports {
		if !r.Works {
			names = append(names, r.Scenario)
		}
	}
	if len(names) > 0 {
		return fmt.Errorf("lab run: broken: %s", strings.Join(names, ", "))
	}
	return nil
}

func chooseScenarios(names []string) (chosen []lab.Scenario, err error) {
	if len(names) == 1 && names[0] == "all" {
		for _, s := range lab.Scenarios() {
			if s.Name != "soak" {
				chosen = append(chosen, s)
			}
		}
		return chosen, nil
	}
	if len(names) == 0 {
		return nil, &usageError{errors.New("lab run: the name of a scenario is missing"), "tributary lab list names them; \"all\" runs all"}
	}
	for _, name := range names {
		s, ok := lab.ByName(name)
		if !ok {
			return nil, &usageError{fmt.Errorf("lab run: no scenario %q", name), "tributary lab list names them"}
		}
		chosen = append(chosen, s)
	}
	return chosen, nil
}

func (l *labRun) shell(ctx context.Context) error {
	if err := lab.Ready(); err != nil {
		return err
	}
	if err := lab.RunShell(ctx, l.options, l.std.out); err != nil {
		return interrupted(ctx, err)
	}
	return nil
}

// print writes v as JSON, or calls table for a person.
func (l *labRun) print(v any, table func(io.Writer) error) error {
	if !l.json {
		return table(l.std.out)
	}
	e := json.NewEncoder(l.std.out)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// interrupted replaces the many errors that an end by signal leaves by one.
func interrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return errors.New("lab: interrupted, everything was taken down")
	}
	return err
}
