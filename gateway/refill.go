package gateway

import "time"

// Chosen by us. Making a connection takes 2 kB upwards, which is 15 ms of a line of
// 1 Mbit/s. With sixteen at once, everybody else's packets waited up to 100 ms there,
// and the 40 requests of half a second, for which they were made, came to their first
// byte after 157 ms (median; p95 276); with a refill as below up to 40 ms, and after
// 95 ms (p95 106), and the pool was full again as soon.
const (
	refillFirst = 8
	refillMost  = 16
	refillLeast = 2
)

// A refill decides how many connections are made at once: one more each time that
// as many came as quickly as ever, and half when one took markedly longer, for then
// they stand in each other's way, or in that of somebody else.
type refill struct {
	parallel int
	good     int           // since the last change
	least    time.Duration // what one takes on an idle line; follows slower lines slowly
	slowed   time.Time     // when parallel was halved
}

// newRefill is for lines of which nothing is known.
func newRefill() refill { return refill{parallel: refillFirst} }

// note takes the time that one took, from when to when.
func (r *refill) note(from, to time.Time) {
	took := to.Sub(from)
	switch {
	case r.least == 0 || took < r.least:
		r.least = took
	case took > r.least+r.least/4+10*time.Millisecond:
		r.least += (took - r.least) / 32
		if from.After(r.slowed) { // those that had begun before say nothing new
			r.parallel, r.good, r.slowed = max(refillLeast, r.parallel/2), 0, to
		}
		return
	}
	if r.good++; r.good >= r.parallel {
		r.parallel, r.good = min(refillMost, r.parallel+1), 0
	}
}
