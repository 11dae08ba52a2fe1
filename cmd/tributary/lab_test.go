package main

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"tributary/lab"
)

func TestLabUsage(t *testing.T) {
	for _, c := range []struct {
		args string
		want string // on stderr
	}{
		{"lab", "what to do is missing"},
		{"lab dance", `no command "dance"`},
		{"lab demo twice", `demo: unexpected argument "twice"`},
		{"lab list all", `list: unexpected argument "all"`},
		{"lab demo --fast", "-fast"},
	} {
		var out, errs bytes.Buffer
		if status := run(context.Background(), strings.Fields(c.args), nil, &out, &errs); status != 2 {
			t.Errorf("%s: status %d", c.args, status)
		}
		if !strings.HasPrefix(errs.String(), "tributary: lab: ") || !strings.Contains(errs.String(), c.want) || !strings.Contains(errs.String(), "hint: ") || out.Len() > 0 {
			t.Errorf("%s: %q, %q", c.args, errs.String(), out.String())
		}
	}
}

func TestChooseScenarios(t *testing.T) {
	if _, err := chooseScenarios(nil); err == nil {
		t.Error("no name was enough")
	}
	if _, err := chooseScenarios([]string{"no such"}); err == nil || hintOf(err) == "" {
		t.Errorf("unknown name: %v", err)
	}
	all, err := chooseScenarios([]string{"all"})
	if err != nil {
		t.Error(err)
	}
	if len(all) == 0 {
		t.Skip("this system has no scenarios")
	}
	// But the soak, which takes longer than all others.
	if len(all) != len(lab.Scenarios())-1 || slices.ContainsFunc(all, func(s lab.Scenario) bool { return s.Name == "soak" }) {
		t.Errorf("all: %d of %d", len(all), len(lab.Scenarios()))
	}
	two, err := chooseScenarios([]string{all[1].Name, all[0].Name})
	if err != nil || len(two) != 2 || two[0].Name != all[1].Name || two[1].Name != all[0].Name {
		t.Errorf("two by name: %v, %v", two, err)
	}
}

func TestProgressOffATerminal(t *testing.T) {
	var b bytes.Buffer
	p := newProgress(&b)
	p.step(lab.Step{Doing: "one thing", From: 0, To: 0.25, Takes: time.Second})
	p.step(lab.Step{Doing: "another", From: 0.25, To: 1, Takes: time.Second})
	p.close()
	if want := "  0 %  one thing\n 25 %  another\n"; b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
}
