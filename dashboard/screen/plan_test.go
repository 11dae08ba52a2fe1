package screen

import (
	"slices"
	"testing"

	"tributary/gateway"
)

// A link with a data plan says how that stands; one without has nothing to say of it.
func TestPlans(t *testing.T) {
	const words = "4.2 of 10 GB used on day 12 of 30; at this pace 10.5 GB"
	for _, tt := range []struct {
		usage *gateway.UsageStatus
		want  []string
	}{
		{nil, nil},
		{&gateway.UsageStatus{Words: words}, nil},
		{&gateway.UsageStatus{Words: words, Allowance: 1}, []string{"plan: " + words}},
		{&gateway.UsageStatus{Words: words, PricePerGB: 1}, []string{"plan: " + words}},
	} {
		l := calm().Links[0]
		l.Usage = tt.usage
		if got := reasons(&l, noon); !slices.Equal(got, tt.want) {
			t.Errorf("%+v: %q, want %q", tt.usage, got, tt.want)
		}
	}
}
