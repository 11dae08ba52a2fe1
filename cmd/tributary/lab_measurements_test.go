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
		"\n1 of 2 targets are met.\n", "| [Opening connections](#opening-connections) | 1 of 2 |\n| Links that look after themselves | was not measured yet |\n",
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

// A part is renewed without touching the other, whose run may be days older, and a
// plain pair's figures stand beside ours.
func TestMeasurementsOfAPart(t *testing.T) {
	dir := t.TempDir()
	in := filepath.Join(dir, "in.json")
	write := func(kernel string, reports ...*lab.Report) {
		t.Helper()
		for _, r := range reports {
			r.Works = true
		}
		b, err := json.Marshal(lab.Measurements{Environment: lab.Environment{Kernel: kernel}, Works: true, Reports: reports})
		if err == nil {
			err = os.WriteFile(in, b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	page := func(args ...string) string {
		t.Helper()
		var out, errs bytes.Buffer
		if status := run(context.Background(), append([]string{"lab", "measurements", dir, in}, args...), nil, &out, &errs); status != 0 {
			t.Fatalf("%v: status %d, %s", args, status, errs.String())
		}
		b, err := os.ReadFile(filepath.Join(dir, "measurements.md"))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	limit, missed := 350.0, false
	write("Linux 1", &lab.Report{Scenario: "setup"}, &lab.Report{Scenario: "link-down"})
	page()
	write("Linux 2", &lab.Report{Scenario: "setup"}, &lab.Report{Scenario: "silent-loss", About: "a link is lost", Figures: []lab.Figure{
		{Name: "LTE: longest gap", Value: 400, Unit: "ms", Target: &lab.Target{AtMost: &limit}, Met: &missed},
		{Name: "plain pair, LTE: longest gap", Value: 774, Unit: "ms"},
		{Name: "plain pair, sessions lost", Value: 2},
	}})
	got := page("--part", "links")
	for _, want := range []string{
		"| kernel | Linux 1 |", "| kernel | Linux 2 |",
		"\n# Links that look after themselves\n",
		"- **missed**: A link goes silent: LTE: longest gap: 400 ms, target ≤ 350 ms\n",
		"\n## A link goes silent\n\nA link is lost (`silent-loss`).\n\n| what | Tributary | plain pair | target | |\n|---|---|---|---|---|\n" +
			"| LTE: longest gap | 400 ms | 774 ms | ≤ 350 ms | **missed** |\n| sessions lost |  | 2 |  |  |\n",
		"- the loss of a link that the kernel tells of: it was left out of this run\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the page has no %q", want)
		}
	}
	if strings.Index(got, "Linux 1") > strings.Index(got, "Linux 2") {
		t.Error("the part that was to be kept is not")
	}
	if t.Failed() {
		t.Log(got)
	}
	for _, args := range [][]string{{"list", "--part", "links"}, {"measurements", dir, "--part", "middle"}} {
		var out, errs bytes.Buffer
		if status := run(context.Background(), append([]string{"lab"}, args...), nil, &out, &errs); status != 2 {
			t.Errorf("%v: status %d, %s", args, status, errs.String())
		}
	}
}
