package figure

import (
	"math"
	"strconv"
)

// A scale leads from values to pixels.
type scale struct {
	low, high float64 // values
	from, to  float64 // pixels
	log       bool
	ticks     []float64
}

func (s scale) at(v float64) float64 {
	low, high := s.low, s.high
	if s.log {
		v, low, high = math.Log10(math.Max(v, low)), math.Log10(low), math.Log10(high)
	}
	if high == low {
		return s.from
	}
	return s.from + (v-low)/(high-low)*(s.to-s.from)
}

// linear is a scale from 0 or below to a round number that holds all values.
func linear(low, high, from, to float64, ticks int) scale {
	low = math.Min(low, 0)
	if !(high > low) {
		high = low + 1
	}
	step := roundStep((high - low) / float64(ticks))
	s := scale{low: math.Floor(low/step) * step, high: math.Ceil(high/step-1e-9) * step, from: from, to: to}
	for i := 0; ; i++ {
		v := s.low + float64(i)*step
		if v > s.high+step/2 {
			return s
		}
		s.ticks = append(s.ticks, v)
	}
}

// roundStep is the first of 1, 2 and 5 times a power of ten that is not below v.
func roundStep(v float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 5} {
		if m*power >= v*(1-1e-9) {
			return m * power
		}
	}
	return 10 * power
}

// decades is a logarithmic scale. Over more than two decades it has whole ones; else
// it ends at 1, 2 or 5 times a power of ten, and has all of those. Values must be
// above 0.
func decades(low, high, from, to float64) scale {
	if !(low > 0) {
		low = 1
	}
	high = math.Max(high, low)
	factors := []float64{1}
	if high/low <= 100 {
		factors = []float64{1, 2, 5}
	}
	s := scale{from: from, to: to, log: true}
	for e := math.Floor(math.Log10(low) + 1e-9); len(s.ticks) < 2 || s.high < high*(1-1e-9); e++ {
		for _, f := range factors {
			v := f * math.Pow(10, e)
			if len(s.ticks) > 1 && s.high >= high*(1-1e-9) {
				break
			}
			if v <= low*(1+1e-9) {
				s.ticks = nil // a later one begins nearer to the values
			}
			s.ticks = append(s.ticks, v)
			s.low, s.high = s.ticks[0], v
		}
	}
	return s
}

// tickText writes a value with no more digits than it has.
func tickText(v float64) string {
	return strconv.FormatFloat(math.Round(v*1e6)/1e6, 'f', -1, 64)
}
