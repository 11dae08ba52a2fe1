//go:build linux

package lab

import (
	"context"
	"strings"
	"testing"
	"time"

	"tributary/measure"
)

func TestRacedIsJudged(t *testing.T) {
	took := func(v float64) measure.Spread { return measure.NewSpread([]float64{v}) }
	times := RacedTimes{Asked: 3, Opened: 3, Cases: []RacedCase{
		{What: racedHealthy, First: took(160), Count: 1},
		{What: racedLossy, Count: 1, Failed: 1}, // which is no fault of ours
		{What: racedFirst, First: took(300), Count: 1},
		{What: racedLater, First: took(120), Count: 1},
		{What: racedDoubtful, First: took(200), Count: 1},
	}}
	var r Report
	times.judge(&r)
	met := map[string]bool{}
	for _, f := range r.Figures {
		if f.Met != nil {
			met[f.Name] = *f.Met
		}
	}
	for name, want := range map[string]bool{
		racedFirst + ": first byte, median":           true,
		racedLater + ": first byte, median":           false,
		racedLater + ": first byte, p95":              true,
		racedDoubtful + ": first byte, p95":           false,
		"requests that failed":                        true,
		"connections that the final server saw twice": true,
	} {
		if got, ok := met[name]; !ok || got != want {
			t.Errorf("%s: met %v", name, got)
		}
	}
	if len(met) != 6 || !allOK(r.Checks) {
		t.Errorf("%+v", r)
	}
	for _, fault := range []func(*RacedTimes){func(t *RacedTimes) { t.Opened++ }, func(t *RacedTimes) { t.Opened-- }, func(t *RacedTimes) { t.Cases[2].Failed = 1 }} {
		bad := RacedTimes{Asked: times.Asked, Opened: times.Opened, Cases: append([]RacedCase{}, times.Cases...)}
		fault(&bad)
		r = Report{}
		if bad.judge(&r); allOK(r.Checks) {
			t.Errorf("%+v finds no fault", bad)
		}
	}
}

// A short run of the scenario "raced".
func TestRaced(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a quarter of a minute")
	}
	t.Parallel() // figures do not matter here
	s, _ := ByName("raced")
	s.run = func(ctx context.Context, t *trial) error {
		return racedWith(ctx, t, racedLengths{alone: 2, losses: 2, each: 200 * time.Millisecond, ailing: 2 * time.Second})
	}
	r := runScenario(t, s)
	if r.Raced == nil || len(r.Raced.Cases) != 6 || r.Raced.Asked != 2+10+10 {
		t.Fatalf("%+v", r.Raced)
	}
	var page strings.Builder
	r.Raced.WriteSection(&page)
	if strings.Count(page.String(), "\n| ") != 1+6 {
		t.Errorf("%s", page.String())
	}
}
