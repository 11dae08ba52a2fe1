package lab

import (
	"math"
	"testing"
	"time"
)

func TestWorstWindow(t *testing.T) {
	r := Result{Elapsed: 12 * time.Second, Buckets: make([]int64, 120)}
	for i := range r.Buckets {
		r.Buckets[i] = 125_000 // 10 Mbit/s
	}
	for i := range 15 {
		r.Buckets[i] = 0 // the start counts for nothing
		r.Buckets[60+i] = 0
	}
	if got := r.worstMbit(); math.Abs(got-7) > 1e-9 {
		t.Errorf("worst window %v Mbit/s, want 7", got)
	}
	if got := r.fastMbit(); math.Abs(got-8.5) > 1e-9 {
		t.Errorf("%v Mbit/s, want 8.5", got)
	}
	r.Buckets[19] = 1 << 40
	if got := r.worstMbit(); math.Abs(got-7) > 1e-9 {
		t.Errorf("worst window %v Mbit/s, want 7 whatever the start was", got)
	}
}

func TestLines(t *testing.T) {
	var l ledgerOfLines
	l.add("a", Direction{RateMbit: 15}, 14.9, 14)
	l.add("b", Direction{RateMbit: 30}, 12, 11)
	if l.best != "a" || l.bestMbit != 14.9 || l.bestWorst != 14 || math.Abs(l.sumMbit-14.9-28.96) > 1e-9 {
		t.Errorf("%+v", l)
	}
}
