// Package phone makes up a phone's day: a list of TCP connections that has the
// shares which were measured on real phones, to be replayed over different ways.
//
// The source is De Coninck, Baerts, Hesmans and Bonaventure, "A First Analysis of
// Multipath TCP on Smartphones" (PAM 2016): of 390,782 connections of a dozen
// users over seven weeks, 65 % lasted less than 10 s and 20.8 % 100 s or more, and
// 86.9 % carried less than 10 kB. What it does not say is chosen here: how
// connections come in bursts, how many servers there are, who speaks first.
package phone

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// The shares of the source.
const (
	Under10s  = 0.65
	Over100s  = 0.208
	Under10kB = 0.869
)

// Chosen by us.
const (
	// Compression is by how much the time within a connection is shortened: what
	// lasts 100 s on the phone lasts 10 s here. Pauses stay longer than the second
	// after which a TCP sender starts anew.
	Compression = 10

	longest  = 300 * time.Second // of a connection, uncompressed
	largest  = 8e6               // bytes of a connection
	smallest = 200

	// Servers is how many there are. The first is asked most (Zipf).
	Servers = 40

	serverFirst = 0.05 // share of connections in which the server greets
	otherPort   = 0.05 // share that goes to neither web port nor a greeter
)

// A Connection is one of the day.
type Connection struct {
	Start       time.Duration // since the day began
	Server      int           // below [Servers]
	Kind        Kind
	Exchanges   []Exchange
	Linger      time.Duration // that it stays open after the last answer; compressed
	RealSeconds float64       // that it lasts on the phone, by the source's shares
}

// A Kind is who speaks first, and to what kind of port.
type Kind int

// The kinds.
const (
	Web     Kind = iota // port 443
	Other               // a port on which the client speaks first
	Greeter             // a port on which the server speaks first
)

// An Exchange is a question and its answer, some time after the one before.
type Exchange struct {
	Pause    time.Duration // since the last answer was complete; compressed
	Up, Down int           // bytes
}

// Bytes are all that the connection carries.
func (c Connection) Bytes() (n int) {
	for _, e := range c.Exchanges {
		n += e.Up + e.Down
	}
	return n
}

// Pauses are all the time in which the connection waits for its user.
func (c Connection) Pauses() (d time.Duration) {
	for _, e := range c.Exchanges {
		d += e.Pause
	}
	return d
}

// Day makes n connections, sorted by their start; the last may begin as late as
// length. The same seed makes the same day.
func Day(seed uint64, n int, length time.Duration) []Connection {
	r := rand.New(rand.NewPCG(seed, 0x70686f6e65))
	lasts := spread(r, n, duration)
	sizes := spread(r, n, size)
	kinds := spread(r, n, kind)
	servers := spread(r, n, server)
	starts := bursts(r, n, length)
	all := make([]Connection, n)
	for i := range all {
		c := Connection{Start: starts[i], Server: int(servers[i]), Kind: Kind(kinds[i]), RealSeconds: lasts[i]}
		compressed := time.Duration(lasts[i]*float64(time.Second)) / Compression
		c.Exchanges = exchanges(r, compressed, int(sizes[i]))
		c.Linger = compressed - c.Pauses()
		all[i] = c
	}
	return all
}

// spread takes n values of a distribution at even distances, in random order: so
// the shares are exact in every day.
func spread(r *rand.Rand, n int, at func(share float64) float64) []float64 {
	v := make([]float64, n)
	for i := range v {
		v[i] = at((float64(i) + 0.5) / float64(n))
	}
	r.Shuffle(n, func(i, j int) { v[i], v[j] = v[j], v[i] })
	return v
}

// logBetween leads from 0 … 1 to low … high, evenly in the logarithm.
func logBetween(share, low, high float64) float64 {
	return low * math.Pow(high/low, share)
}

// duration is in seconds on the phone.
func duration(share float64) float64 {
	switch {
	case share < Under10s:
		return logBetween(share/Under10s, 0.05, 10)
	case share < 1-Over100s:
		return logBetween((share-Under10s)/(1-Over100s-Under10s), 10, 100)
	}
	return logBetween((share-1+Over100s)/Over100s, 100, longest.Seconds())
}

// size is in bytes, with a tail that gets thinner by a power of ten for each ten.
func size(share float64) float64 {
	rest := 1 - Under10kB
	switch {
	case share < Under10kB:
		return logBetween(share/Under10kB, smallest, 10e3)
	case share < 1-rest/5:
		return logBetween((share-Under10kB)/(rest*4/5), 10e3, 100e3)
	case share < 1-rest/25:
		return logBetween((share-1+rest/5)/(rest*4/25), 100e3, 1e6)
	}
	return logBetween((share-1+rest/25)/(rest/25), 1e6, largest)
}

func kind(share float64) float64 {
	switch {
	case share < serverFirst:
		return float64(Greeter)
	case share < serverFirst+otherPort:
		return float64(Other)
	}
	return float64(Web)
}

// server is Zipf's: the k-th is asked 1/k as often as the first.
func server(share float64) float64 {
	all := 0.0
	for k := 1; k <= Servers; k++ {
		all += 1 / float64(k)
	}
	sum := 0.0
	for k := 1; k <= Servers; k++ {
		if sum += 1 / float64(k) / all; share < sum {
			return float64(k - 1)
		}
	}
	return Servers - 1
}

// bursts returns n starts, sorted: single connections, apps that open a few, and
// pages that open some 30 within two seconds.
func bursts(r *rand.Rand, n int, length time.Duration) []time.Duration {
	var all []time.Duration
	for len(all) < n {
		began := time.Duration(r.Float64() * float64(length))
		opens := 1
		switch p := r.Float64(); {
		case p > 0.85:
			opens = 10 + r.IntN(21)
		case p > 0.5:
			opens = 2 + r.IntN(5)
		}
		for range min(opens, n-len(all)) {
			within := time.Duration(r.Float64() * float64(2*time.Second))
			all = append(all, min(began+within, length))
		}
	}
	slices.SortFunc(all, func(a, b time.Duration) int { return cmp.Compare(a, b) })
	return all
}

// exchanges divides time and bytes among questions and answers. What lasts long is
// asked at least twice, the last time at its end.
func exchanges(r *rand.Rand, lasts time.Duration, bytes int) []Exchange {
	n := 1
	if p := r.Float64(); p > 0.8 {
		n = 3 + r.IntN(3)
	} else if p > 0.5 {
		n = 2
	}
	if lasts >= time.Second {
		n = max(n, 2)
	}
	const least = smallest / 5 // n is 5 at most
	all := make([]Exchange, n)
	left := bytes - n*least
	for i := range all {
		part := left
		if i < n-1 {
			part = int(r.Float64() * float64(left))
		}
		left -= part
		up := min(least/2+part/4, 100+r.IntN(500))
		all[i] = Exchange{Up: up, Down: least + part - up}
		if i > 0 {
			all[i].Pause = lasts / time.Duration(n-1)
		}
	}
	return all
}
