// Package soak plans a long run with random faults, and keeps its books: which
// session ended how, and which of those that failed had a right to.
package soak

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"time"
)

// A Kind is what happens to a link, or to the relay.
type Kind string

// The kinds. Those of a link last for a while; a new address stays.
const (
	Silent      Kind = "silent"       // loses everything, and nothing tells of it
	Unplugged   Kind = "unplugged"    // the interface goes down
	Readdressed Kind = "readdressed"  // another address, as a provider gives overnight
	Lossy       Kind = "lossy"        // loses a share of all packets
	Slow        Kind = "slow"         // throttled
	Far         Kind = "far"          // a longer round trip
	AllOut      Kind = "all out"      // every link is silent
	Restart     Kind = "relay killed" // and started again
)

// A Fault is something that happens.
type Fault struct {
	At, For time.Duration // since the beginning; For is 0 for what does not last
	Kind    Kind
	Link    string  // "" for AllOut and Restart
	Much    float64 // share of packets for Lossy, Mbit/s for Slow, ms for Far
}

// Chosen by us: what households see in a month, in half an hour.
const (
	calm       = 5 * time.Second  // before the first fault, and before and after those that hit all
	quietEnd   = 20 * time.Second // in which everything is whole again
	allOutFrom = 90 * time.Second // the shortest run that has one
	restarts   = 3 * time.Minute  // likewise
)

// Plan draws the faults of a run. The same seed gives the same ones.
func Plan(seed uint64, length time.Duration, links []string) (plan []Fault) {
	rng := rand.New(rand.NewPCG(seed, 0x50a4))
	between := func(low, high time.Duration) time.Duration { return low + rand64(rng, high-low) }
	if length >= allOutFrom {
		plan = append(plan, Fault{At: length / 3, For: between(8*time.Second, 30*time.Second), Kind: AllOut})
	}
	if length >= restarts {
		plan = append(plan, Fault{At: 2 * length / 3, Kind: Restart})
	}
	whole := slices.Clone(plan)
	for _, link := range links {
		at := calm + between(0, 5*time.Second)
		for {
			f := draw(rng, between, link)
			f.At = at
			if f.At+f.For > length-quietEnd {
				break
			}
			if after, ok := clash(whole, f); ok {
				at = after
				continue
			}
			plan = append(plan, f)
			at += f.For + between(3*time.Second, 15*time.Second)
		}
	}
	slices.SortStableFunc(plan, func(a, b Fault) int { return cmp.Compare(a.At, b.At) })
	return plan
}

func rand64(rng *rand.Rand, below time.Duration) time.Duration {
	return time.Duration(rng.Int64N(int64(below)))
}

// clash says when a fault of one link may be, if it is too near to one of all.
func clash(whole []Fault, f Fault) (after time.Duration, yes bool) {
	for _, w := range whole {
		if f.At < w.At+w.For+2*calm && f.At+f.For > w.At-calm {
			return w.At + w.For + 2*calm, true
		}
	}
	return 0, false
}

func draw(rng *rand.Rand, between func(low, high time.Duration) time.Duration, link string) Fault {
	f := Fault{Link: link, For: between(time.Second, 20*time.Second)}
	switch n := rng.IntN(10); {
	case n < 3:
		f.Kind = Silent
	case n < 5:
		f.Kind = Unplugged
	case n < 6:
		f.Kind, f.For = Readdressed, 0
	case n < 8:
		f.Kind, f.Much = Lossy, 0.02+0.28*rng.Float64()
	case n < 9:
		f.Kind, f.Much = Slow, 0.3+4*rng.Float64()
	default:
		f.Kind, f.Much = Far, 50+350*rng.Float64()
	}
	return f
}
