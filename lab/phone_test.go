//go:build linux

package lab

import (
	"context"
	"strings"
	"testing"
	"time"
)

// The second way misses when it is slower, and connections that failed stand for
// nothing but themselves.
func TestPhoneDayIsJudged(t *testing.T) {
	p := PhoneDay{
		Waits: [][]float64{{100, 100, 100, 0}, {90, 95, 300, 1}}, Failed: []int{1, 0},
		Size: []int{1, 1, 1, 1}, Greeted: make([]bool, 4),
	}
	var r Report
	p.judge(&r)
	for _, f := range r.Figures {
		want := map[string]float64{"Tributary, median": 95, "Tributary, p95": 300, "direct, median": 100, "direct, p95": 100, "shorter wait than direct": 200. / 3}
		for end, v := range want {
			if strings.HasSuffix(f.Name, end) && f.Value != v {
				t.Errorf("%s: %v, want %v", f.Name, f.Value, v)
			}
		}
		if f.Met != nil && *f.Met != strings.HasSuffix(f.Name, "median") {
			t.Errorf("%s: met %v", f.Name, *f.Met)
		}
	}
	if len(r.Figures) != 5 || allOK(r.Checks) {
		t.Errorf("%+v", r)
	}
	r = Report{}
	(&PhoneDay{Waits: [][]float64{{0}, {1}}, Failed: []int{1, 0}, Size: []int{1}, Greeted: []bool{false}}).judge(&r)
	if len(r.Figures) != 0 || len(r.NotMeasured) != 1 {
		t.Errorf("of nothing: %+v", r)
	}
}

// A short run of the scenario "phone-day".
func TestPhoneDay(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute")
	}
	t.Parallel() // figures do not matter here
	s, _ := ByName("phone-day")
	s.run = func(ctx context.Context, t *trial) error { return phoneDayWith(ctx, t, 60, 3*time.Second) }
	r := runScenario(t, s)
	if r.Phone == nil || len(r.Phone.Waits) != 2 {
		t.Fatalf("%+v", r.Phone)
	}
	var page strings.Builder
	r.Phone.WriteSection(&page)
	if svg := r.Phone.Figures()["phone-day.svg"]; !strings.HasPrefix(string(svg), "<svg") || strings.Count(page.String(), "\n| ") != 1+len(phoneClasses) {
		t.Errorf("%s", page.String())
	}
}
