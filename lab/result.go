package lab

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"time"
)

// BucketLength is the grain of [Result.Buckets].
const BucketLength = 100 * time.Millisecond

// A Result is one measured transfer.
type Result struct {
	// Bytes are those of the body that arrived.
	Bytes int64
	// FirstByte is the time from the call, before any connection exists, to the
	// first byte of the answer. It is 0 for an upload.
	FirstByte time.Duration
	// Elapsed is the time from the first byte to the end of the transfer, be that
	// the last byte or the time set for it.
	Elapsed time.Duration
	// LongestGap is the longest time between two reads that brought data, and
	// between the last one and the end of the transfer; GapAt is when it began,
	// counted from the first byte.
	LongestGap, GapAt time.Duration
	// Gaps are all of leastGap or more, in their order.
	Gaps []Gap
	// Buckets are the bytes that came in each BucketLength since the first one.
	Buckets []int64
	// SHA256 is the sum of the body as it arrived, to be held against [Sum].
	SHA256 string
}

// A Gap is a time without data, At since the first byte of its transfer.
type Gap struct{ At, Length time.Duration }

// leastGap is what Result.Gaps begin at.
const leastGap = 20 * time.Millisecond

// GapAfter is the longest of the gaps that ended after a time, the zero Gap if there
// was none.
func (r Result) GapAfter(t time.Duration) Gap { return r.GapBetween(t, 1<<63-1) }

// GapBetween is the longest of the gaps that lasted into the time between two moments.
func (r Result) GapBetween(from, to time.Duration) (longest Gap) {
	for _, g := range r.Gaps {
		if g.At+g.Length > from && g.At < to && g.Length > longest.Length {
			longest = g
		}
	}
	return longest
}

// Mbit is the rate over the whole transfer in Mbit/s (10^6), 0 for an empty one.
func (r Result) Mbit() float64 {
	if r.Elapsed <= 0 {
		return 0
	}
	return float64(r.Bytes) * 8 / 1e6 / r.Elapsed.Seconds()
}

// MbitBetween is the rate from one time to another, both since the first byte,
// to leave out the start of a transfer or to look at what follows an event. It
// is rounded to whole buckets.
func (r Result) MbitBetween(from, to time.Duration) float64 {
	first, last := int(from/BucketLength), min(int(to/BucketLength), len(r.Buckets))
	if first >= last {
		return 0
	}
	var bytes int64
	for _, b := range r.Buckets[first:last] {
		bytes += b
	}
	return float64(bytes) * 8 / 1e6 / (time.Duration(last-first) * BucketLength).Seconds()
}

// A meter measures what it drains.
type meter struct {
	result      Result
	first, last time.Time
}

// newMeter returns a meter that already saw a first byte at first, unless that is zero.
func newMeter(first time.Time) *meter { return &meter{first: first, last: first} }

// drain reads r to its end.
func (m *meter) drain(r io.Reader) error {
	sum := sha256.New()
	defer func() { m.result.SHA256 = hex.EncodeToString(sum.Sum(nil)) }()
	buf := make([]byte, 64<<10)
	for {
		n, err := r.Read(buf)
		if n > 0 {
			m.add(n, time.Now())
			sum.Write(buf[:n])
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (m *meter) add(n int, now time.Time) {
	if m.first.IsZero() {
		m.first, m.last = now, now
	}
	m.gap(now)
	m.last = now
	m.result.Bytes += int64(n)
	m.result.Elapsed = now.Sub(m.first)
	for len(m.result.Buckets) <= int(m.result.Elapsed/BucketLength) {
		m.result.Buckets = append(m.result.Buckets, 0)
	}
	m.result.Buckets[m.result.Elapsed/BucketLength] += int64(n)
}

// end ends the transfer at now, some time after the last byte.
func (m *meter) end(now time.Time) {
	if m.first.IsZero() {
		return
	}
	m.gap(now)
	m.result.Elapsed = now.Sub(m.first)
}

// gap enters the time since the last data, which came to its end at now.
func (m *meter) gap(now time.Time) {
	g := Gap{At: m.last.Sub(m.first), Length: now.Sub(m.last)}
	if g.Length >= leastGap {
		m.result.Gaps = append(m.result.Gaps, g)
	}
	if g.Length > m.result.LongestGap {
		m.result.LongestGap, m.result.GapAt = g.Length, g.At
	}
}
