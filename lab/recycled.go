package lab

import (
	"fmt"
	"io"
	"slices"

	"tributary/measure"
)

// A RecycledTimes is what the scenario "recycled" measured: how long an answer takes
// on a connection that has carried others before.
type RecycledTimes struct {
	Sizes []SizePoint   `json:"sizes"`
	Cases []RecycleCase `json:"cases"`
}

// A RecycleCase is the time of an answer of 100 kB on a connection with a past.
type RecycleCase struct {
	What   string         `json:"what"`
	Last   measure.Spread `json:"last_byte_ms"`
	Count  int            `json:"count"`
	Failed int            `json:"failed"`
}

// The ways that are compared, besides WayPassword.
const (
	WayUnused   = "Tributary, warm"
	WayRecycled = "Tributary, recycled"
)

// The cases. BBR, where a host has it, takes what a Multipath TCP connection does
// not use for what its path does not give, and looks for a shorter round trip after
// 10 s of rest.
const (
	afterSmall     = "recycled, after a dozen sessions of 1 kB"
	afterRest      = "recycled, after 12 s of rest"
	afterRestFirst = "warm, after 12 s of rest"
)

const (
	recycledSize      = 100e3
	recycledOverFresh = 0.7
)

func (t *RecycledTimes) size(way string, size int64) SizePoint {
	i := slices.IndexFunc(t.Sizes, func(p SizePoint) bool { return p.Way == way && p.Size == size })
	if i < 0 {
		return SizePoint{}
	}
	return t.Sizes[i]
}

// judge enters the figures. Shares are in percent of the sessions that were to be on
// a connection that had carried one, and of those that were not.
func (t *RecycledTimes) judge(r *Report, recycled, notSo float64) {
	failed := 0
	for _, p := range t.Sizes {
		failed += p.Failed
	}
	for _, c := range t.Cases {
		failed += c.Failed
	}
	r.check("every connection works", failed == 0, "%d failed", failed)
	fresh, unused, used := t.size(WayPassword, recycledSize), t.size(WayUnused, recycledSize), t.size(WayRecycled, recycledSize)
	r.figure("100 kB, fresh MPTCP, median", fresh.Last.Median, "ms", nil)
	r.figure("100 kB, warm, median", unused.Last.Median, "ms", nil)
	r.figure("100 kB, recycled, median", used.Last.Median, "ms", nil)
	r.figure("100 kB, recycled against fresh MPTCP", used.Last.Median/fresh.Last.Median, "", atMost(recycledOverFresh))
	r.figure("100 kB, recycled against warm", used.Last.Median/unused.Last.Median, "", nil)
	for _, c := range t.Cases {
		limit := recycledOverFresh
		if c.What == afterRestFirst {
			limit = overFresh
		}
		r.figure("100 kB, "+c.What+", against fresh MPTCP", c.Last.Median/fresh.Last.Median, "", atMost(limit))
	}
	r.figure("sessions on recycled connections where they should be", recycled, "%", atLeast(99))
	r.figure("sessions on recycled connections where they should not be", notSo, "%", atMost(0))
}

// WriteSection writes two tables.
func (t *RecycledTimes) WriteSection(w io.Writer) {
	fmt.Fprint(w, "A session that ends in good order leaves its connection to the relay with grown congestion windows, and the next session gets it.\n"+
		"\"Warm\" is a connection that has carried none yet. Fresh MPTCP is SOCKS5 step by step with a password. Sessions follow one another\n"+
		"100 ms apart. Median and 95th percentile in ms, from the client's SYN to the last byte.\n\n")
	ways := []string{WayPassword, WayUnused, WayRecycled}
	fmt.Fprint(w, "| size |")
	for _, way := range ways {
		fmt.Fprintf(w, " %s |", sizeWay(way))
	}
	fmt.Fprint(w, "\n|---|---|---|---|\n")
	var done []int64
	for _, p := range t.Sizes {
		if slices.Contains(done, p.Size) {
			continue
		}
		done = append(done, p.Size)
		fmt.Fprintf(w, "| %s |", measure.SizeText(p.Size))
		for _, way := range ways {
			p := t.size(way, p.Size)
			fmt.Fprintf(w, " %s |", mdCell(p.Last, p.Failed < p.Count))
		}
		fmt.Fprintln(w)
	}
	fmt.Fprint(w, "\n| 100 kB | time |\n|---|---|\n")
	for _, c := range t.Cases {
		fmt.Fprintf(w, "| %s | %s |\n", c.What, mdCell(c.Last, c.Failed < c.Count))
	}
}

// Figures returns none: the tables are short.
func (t *RecycledTimes) Figures() map[string][]byte { return nil }
