package lab

import (
	"math"
	"time"
)

const (
	// settled is when a transfer has found its rate: what comes before is its start,
	// for which short transfers stand.
	settled = 2 * time.Second

	// window is the stretch of which the worst one counts.
	window = 5 * time.Second

	// payloadShare is what of an IP packet of full size is payload of plain TCP with
	// timestamps.
	payloadShare = 1448.0 / 1500
)

// fastMbit is the rate once the transfer has settled.
func (r Result) fastMbit() float64 { return r.MbitBetween(settled, r.Elapsed) }

// worstMbit is that of the slowest window once it has.
func (r Result) worstMbit() float64 {
	worst := math.Inf(1)
	for from := settled; from+window <= r.Elapsed; from += BucketLength {
		worst = min(worst, r.MbitBetween(from, from+window))
	}
	return worst
}

// A ledgerOfLines is what each link does alone.
type ledgerOfLines struct {
	best      string  // the fastest
	bestMbit  float64 // as measured
	bestWorst float64 // its worst window, for BBR pauses every 10 s
	sumMbit   float64 // what the lines can carry of payload, or did if that is more
}

func (l *ledgerOfLines) add(name string, line Direction, measured, worst float64) {
	if measured > l.bestMbit {
		l.best, l.bestMbit, l.bestWorst = name, measured, worst
	}
	// A loss of packets is before the line, so that it can be filled all the same. A
	// single TCP connection does not always fill it.
	l.sumMbit += max(measured, line.RateMbit*payloadShare)
}
