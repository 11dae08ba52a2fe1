package lab

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// A picture has both lines, and marks when something happened; a grain that is not
// whole is left out, since it would look like a fall.
func TestCourse(t *testing.T) {
	r := Result{Elapsed: 950 * time.Millisecond, Buckets: []int64{125_000, 125_000, 0, 0, 250_000, 250_000, 125_000, 125_000, 125_000, 60_000}}
	c := newCourse("LTE goes silent, and comes back", "What happens.", r, Result{}, 300*time.Millisecond)
	if want := []float64{10, 0, 20, 10}; len(c.Ours) != 4 || c.Ours[0] != want[0] || c.Ours[1] != want[1] || c.Ours[2] != want[2] || c.Ours[3] != want[3] {
		t.Errorf("rates %v, want %v", c.Ours, want)
	}
	all := Courses{c}
	var page bytes.Buffer
	all.WriteSection(&page)
	if want := "![LTE goes silent, and comes back](figures/lte-goes-silent-and-comes-back.svg)"; !strings.Contains(page.String(), want) {
		t.Errorf("%s\nhas no %s", page.String(), want)
	}
	svg := string(all.Figures()["lte-goes-silent-and-comes-back.svg"])
	for _, want := range []string{"What happens.", "Tributary", "plain pair", "rate (Mbit/s)", ">0.3<"} {
		if !strings.Contains(svg, want) {
			t.Errorf("the picture has no %q", want)
		}
	}
}
