package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tributary/lab"
)

// The page hides nothing: misses, broken functions, what could not be measured and
// scenarios that are not there.
func TestMeasurementsPage(t *testing.T) {
	limit, met, missed := 84.0, true, false
	set := lab.Measurements{Environment: lab.Environment{Kernel: "Linux 9", Congestion: "reno"}, Seconds: 90, Reports: []*lab.Report{
		{
			Scenario: "setup", Works: true,
			Figures: []lab.Figure{
				{Name: "first byte", Value: 81, Unit: "ms", Target: &lab.Target{AtMost: &limit}, Met: &met},
				{Name: "last byte", Value: 99, Unit: "ms", Target: &lab.Target{AtMost: &limit}, Met: &missed},
			},
			Setup:       &lab.SetupTimes{},
			NotMeasured: []string{"a peer: it is not installed"},
		},
		{Scenario: "replay", Error: "no relay", Checks: []lab.Check{{Name: "a check", Detail: "3 of 4"}}},
	}}
	dir := t.TempDir()
	report := filepath.Join(dir, "in.json")
	b, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(report, b, 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	status := run(context.Background(), []string{"lab", "measurements", dir, report}, nil, &out, &errs)
	if status != 1 || !strings.Contains(errs.String(), "broken: replay") {
		t.Errorf("status %d, %s", status, errs.String())
	}
	page, err := os.ReadFile(filepath.Join(dir, "measurements.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"\n1 of 2 targets are met.\n",
		"| kernel | Linux 9 |\n| congestion control | reno |", "| took | 1m30s |",
		"| **Opening a connection** | | | |\n| first byte | 81 ms | ≤ 84 ms | met |\n| last byte | 99 ms | ≤ 84 ms | **missed** |",
		"Not measured:\n\n- a peer: it is not installed\n",
		"- banners, refusals and early answers: ",
		"- replay of captured openings, or a part of that: the scenario `replay` ended early: no relay\n",
		"**Broken in this run:**\n\n- `replay`: a check: 3 of 4\n",
		"\n## Opening a connection\n\n### Setup time against the round trip\n",
	} {
		if !strings.Contains(string(page), want) {
			t.Errorf("the page has no %q", want)
		}
	}
	for _, name := range []string{"figures/setup.svg", "measurements.json"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
	// What was written can be read again.
	if status := run(context.Background(), []string{"lab", "measurements", dir, filepath.Join(dir, "measurements.json")}, nil, &out, &errs); status != 1 {
		t.Errorf("again: status %d", status)
	}
	again, err := os.ReadFile(filepath.Join(dir, "measurements.md"))
	if err != nil || !bytes.Equal(again, page) {
		t.Errorf("another page from the same values: %v", err)
	}
	if t.Failed() {
		t.Logf("%s", page)
	}
}

func TestMeasurementsOfNothing(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty.json")
	if err := os.WriteFile(empty, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"lab", "measurements", dir, empty}, {"lab", "measurements", dir, "no such file"}} {
		var out, errs bytes.Buffer
		if status := run(context.Background(), args, nil, &out, &errs); status != 1 {
			t.Errorf("%v: status %d, %s", args, status, errs.String())
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "measurements.md")); err == nil {
		t.Error("a page was written all the same")
	}
}
