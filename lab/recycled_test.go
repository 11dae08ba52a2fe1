//go:build linux

package lab

import (
	"context"
	"strings"
	"testing"
	"time"

	"tributary/measure"
)

func TestRecycledIsJudged(t *testing.T) {
	took := func(v float64) measure.Spread { return measure.NewSpread([]float64{v}) }
	times := RecycledTimes{
		Sizes: []SizePoint{
			{Way: WayPassword, Size: recycledSize, Last: took(400), Count: 1},
			{Way: WayUnused, Size: recycledSize, Last: took(200), Count: 1},
			{Way: WayRecycled, Size: recycledSize, Last: took(160), Count: 1},
			{Way: WayRecycled, Size: 1e6, Last: took(1), Count: 1},
		},
		Cases: []RecycleCase{{What: afterSmall, Last: took(300), Count: 1}, {What: afterRestFirst, Last: took(300), Count: 1}},
	}
	var r Report
	times.judge(&r, 100, 1)
	for _, want := range []struct {
		name  string
		value float64
		met   bool
	}{
		{"100 kB, recycled against fresh MPTCP", 0.4, true},
		{"100 kB, " + afterSmall + ", against fresh MPTCP", 0.75, false},
		{"100 kB, " + afterRestFirst + ", against fresh MPTCP", 0.75, true},
		{"sessions on recycled connections where they should be", 100, true},
		{"sessions on recycled connections where they should not be", 1, false},
	} {
		found := false
		for _, f := range r.Figures {
			if f.Name == want.name {
				found = f.Value == want.value && f.Met != nil && *f.Met == want.met
			}
		}
		if !found {
			t.Errorf("want %+v in %+v", want, r.Figures)
		}
	}
	times.Cases[0].Failed = 1
	r = Report{}
	if times.judge(&r, 100, 0); allOK(r.Checks) {
		t.Error("a connection that failed is no fault")
	}
}

// A short run of the scenario "recycled".
func TestRecycled(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	t.Parallel() // figures do not matter here
	s, _ := ByName("recycled")
	s.run = func(ctx context.Context, t *trial) error {
		return recycledWith(ctx, t, recycledLengths{map[int64]int{10e3: 3, recycledSize: 3, 1e6: 3}, 1, time.Second})
	}
	r := runScenario(t, s)
	if r.Recycled == nil || len(r.Recycled.Cases) != 3 {
		t.Fatalf("%+v", r.Recycled)
	}
	var page strings.Builder
	r.Recycled.WriteSection(&page)
	if strings.Contains(page.String(), " - |") || strings.Count(page.String(), "\n| ") != 1+3+1+3 {
		t.Errorf("%s", page.String())
	}
}
