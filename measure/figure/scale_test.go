package figure

import (
	"slices"
	"testing"
)

func TestDecades(t *testing.T) {
	for _, c := range []struct {
		low, high float64
		ticks     []float64
	}{
		{82, 2600, []float64{50, 100, 200, 500, 1000, 2000, 5000}},
		{50, 5000, []float64{50, 100, 200, 500, 1000, 2000, 5000}},
		{3, 3, []float64{2, 5}},
		{1, 1, []float64{1, 2}},
		{1, 10000, []float64{1, 10, 100, 1000, 10000}},
		{7, 800, []float64{1, 10, 100, 1000}},
		{0.3, 0.9, []float64{0.2, 0.5, 1}},
		{0, 50, []float64{1, 2, 5, 10, 20, 50}},
	} {
		s := decades(c.low, c.high, 0, 1)
		for i, v := range s.ticks {
			s.ticks[i] = float64(int(v*1e6+0.5)) / 1e6
		}
		if !slices.Equal(s.ticks, c.ticks) {
			t.Errorf("%v to %v: %v, want %v", c.low, c.high, s.ticks, c.ticks)
		}
		if s.low > max(c.low, 1) && c.low > 0 || s.high < c.high {
			t.Errorf("%v to %v: the scale is %v to %v", c.low, c.high, s.low, s.high)
		}
	}
}
