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

	"tributary/lab"
)

// reportFile is where the measurements lie beside the page.
const reportFile = "measurements.json"

// A measurementSet is all parts of the page, each of a run of its own. A part that
// was never measured is nil.
type measurementSet struct {
	Setup *lab.Measurements `json:"setup,omitempty"`
	Links *lab.Measurements `json:"links,omitempty"`
}

// of returns where the set keeps a part.
func (s *measurementSet) of(part string) **lab.Measurements {
	if part == "links" {
		return &s.Links
	}
	return &s.Setup
}

// measurements runs what docs/measurements.md is about, or a part of it, or reads
// it from a report of an earlier run, and writes that page and its figures. What is
// not renewed stays as it is in the directory.
func (l *labRun) measurements(ctx context.Context, args []string) error {
	if len(args) < 1 || len(args) > 2 {
		return labUsageError("measurements: want a directory, and perhaps a report")
	}
	dir := args[0]
	set, err := readMeasurements(filepath.Join(dir, reportFile))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	var fresh measurementSet
	if len(args) == 2 {
		fresh, err = readMeasurements(args[1])
	} else {
		fresh, err = l.measure(ctx)
	}
	if err != nil {
		return err
	}
	if err := set.renew(fresh, l.wants); err != nil {
		return err
	}
	if err := writeMeasurements(dir, set); err != nil {
		return err
	}
	var all lab.Measurements
	for _, p := range pageParts {
		if part := *fresh.of(p.name); part != nil && l.wants(p.name) {
			all.Reports = append(all.Reports, part.Reports...)
		}
	}
	return broken(&all)
}

// wants reports whether a part is to be renewed.
func (l *labRun) wants(part string) bool { return l.part == "" || l.part == part }

// renew puts the parts of fresh that are wanted into the set.
func (s *measurementSet) renew(fresh measurementSet, wants func(part string) bool) error {
	any := false
	for _, p := range pageParts {
		if part := *fresh.of(p.name); part != nil && wants(p.name) {
			*s.of(p.name), any = part, true
		}
	}
	if !any {
		return errors.New("lab measurements: nothing of that part was measured")
	}
	return nil
}

// measure runs every scenario of the parts wanted that this program has. What goes
// wrong with one of them is for the page to say.
func (l *labRun) measure(ctx context.Context) (set measurementSet, err error) {
	if err := lab.Ready(); err != nil {
		return set, err
	}
	for _, p := range pageParts {
		var scenarios []lab.Scenario
		for _, m := range p.scenarios {
			if s, ok := lab.ByName(m.scenario); ok {
				scenarios = append(scenarios, s)
			}
		}
		if !l.wants(p.name) || len(scenarios) == 0 {
			continue
		}
		if *set.of(p.name), err = l.runAll(ctx, scenarios, func(r *lab.Report) error { return r.Print(l.std.out) }); err != nil {
			return set, err
		}
	}
	return set, nil
}

// readMeasurements reads what an earlier run wrote: this one's, or that of "lab
// run NAME... --json", whose reports go to the parts that they belong to.
func readMeasurements(name string) (set measurementSet, err error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return set, fmt.Errorf("lab measurements: %w", err)
	}
	var one lab.Measurements
	if err = json.Unmarshal(b, &set); err == nil {
		err = json.Unmarshal(b, &one)
	}
	if err != nil {
		return set, fmt.Errorf("lab measurements: %s: %w", name, err)
	}
	for _, r := range one.Reports {
		part := set.of(partOf(r.Scenario))
		if *part == nil {
			*part = &lab.Measurements{Environment: one.Environment, Works: true}
		}
		(*part).Reports = append((*part).Reports, r)
		(*part).Works = (*part).Works && r.Works
		(*part).Seconds += r.Seconds
	}
	for _, p := range pageParts {
		if part := *set.of(p.name); part != nil && len(part.Reports) == len(one.Reports) {
			part.Seconds = one.Seconds // with the pauses between
		}
	}
	if set == (measurementSet{}) {
		return set, errors.New("lab measurements: there is no report in " + name)
	}
	return set, nil
}

func writeMeasurements(dir string, set measurementSet) error {
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
	for _, p := range pageParts {
		part := *set.of(p.name)
		if part == nil {
			continue
		}
		for _, r := range part.Reports {
			for _, s := range r.Sections() {
				for name, svg := range s.Figures() {
					files[filepath.Join("figures", name)] = svg
				}
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := os.WriteFile(filepath.Join(dir, name), files[name], 0o666); err != nil {
			return fmt.Errorf("write the measurements: %w", err)
		}
	}
	return nil
}
