package lab

import (
	"bytes"
	"io"
	"testing"
	"testing/iotest"
	"time"
)

func TestContentIsTheSameHoweverRead(t *testing.T) {
	const n = 3*stampEvery + 17
	whole, err := io.ReadAll(Content(n))
	if err != nil || len(whole) != n {
		t.Fatalf("%d bytes, %v; want %d", len(whole), err, n)
	}
	if err := iotest.TestReader(Content(n), whole); err != nil {
		t.Error(err)
	}
	if short, _ := io.ReadAll(Content(100)); !bytes.Equal(short, whole[:100]) {
		t.Error("a short content is not the beginning of a long one")
	}
	if bytes.Equal(whole[:stampEvery], whole[stampEvery:2*stampEvery]) {
		t.Error("two blocks are alike")
	}
	if Sum(n) == Sum(n+1) || len(Sum(n)) != 64 {
		t.Errorf("Sum(%d) = %s", n, Sum(n))
	}
}

func TestMeter(t *testing.T) {
	start := time.Now()
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	m := newMeter(start)
	m.add(1000, at(0))
	m.add(1000, at(50))
	m.add(1000, at(350))
	m.end(at(400))
	r := m.result
	if r.Bytes != 3000 || r.Elapsed != 400*time.Millisecond {
		t.Errorf("%d bytes in %v", r.Bytes, r.Elapsed)
	}
	if r.LongestGap != 300*time.Millisecond || r.GapAt != 50*time.Millisecond {
		t.Errorf("gap of %v at %v, want 300ms at 50ms", r.LongestGap, r.GapAt)
	}
	if got := r.GapAfter(60 * time.Millisecond); len(r.Gaps) != 3 || got != (Gap{50 * time.Millisecond, 300 * time.Millisecond}) {
		t.Errorf("gaps %v, of which %v", r.Gaps, got)
	}
	if got := r.GapAfter(350 * time.Millisecond); got != (Gap{350 * time.Millisecond, 50 * time.Millisecond}) {
		t.Errorf("gap %v after 350 ms", got)
	}
	if want := []int64{2000, 0, 0, 1000}; len(r.Buckets) != 4 || r.Buckets[0] != want[0] || r.Buckets[3] != want[3] {
		t.Errorf("buckets %v, want %v", r.Buckets, want)
	}
	if got := r.MbitBetween(0, 100*time.Millisecond); got != 0.16 {
		t.Errorf("%v Mbit/s in the first bucket, want 0.16", got)
	}
	if got := r.Mbit(); got != 0.06 {
		t.Errorf("%v Mbit/s, want 0.06", got)
	}
	m.end(at(1400))
	if m.result.LongestGap != 1050*time.Millisecond {
		t.Errorf("a gap up to the end counts %v, want 1.05s", m.result.LongestGap)
	}
}
