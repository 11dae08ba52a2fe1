//go:build linux

package lab

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// The programs of a plain pair change nothing, yet every link is in use.
func TestPlainPair(t *testing.T) {
	needLab(t)
	t.Parallel()
	ctx := testContext(t)
	ours, err := newTrial(ctx, Config{}, Options{Binary: realBinary})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := ours.close(); err != nil {
			t.Error(err)
		}
	}()
	plain, err := ours.beside(ctx)
	if err != nil {
		t.Fatal(err)
	}
	state := func() (all []string) {
		for _, h := range []string{"home", "relay"} {
			lines, err := plain.Network.Host(h).kernelState()
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, lines...)
		}
		return all
	}
	before := state()
	if n := len(slices.DeleteFunc(slices.Clone(before), func(l string) bool { return !strings.Contains(l, "endpoint") })); n != 2 {
		t.Errorf("%d endpoints, want 2", n)
	}
	if err := plain.begin(ctx); err != nil {
		t.Fatal(err)
	}
	if d := difference(before, state()); len(d) > 0 {
		t.Errorf("the programs changed\n%s", strings.Join(d, "\n"))
	}
	if _, err := Download(ctx, plain.through(endless, 2*time.Second)); err != nil {
		t.Fatal(err)
	}
	for _, name := range plain.Network.Links() {
		if _, down := plain.Network.Link(name).Counters(); down.Bytes < 500e3 {
			t.Errorf("%s carried %d bytes", name, down.Bytes)
		}
	}
	// By hand again, as after a link has come back.
	if err := plain.Network.byHand(); err != nil {
		t.Fatal(err)
	}
	if d := difference(before, state()); len(d) > 0 {
		t.Errorf("made by hand twice:\n%s", strings.Join(d, "\n"))
	}
}
