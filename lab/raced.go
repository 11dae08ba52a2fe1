package lab

import (
	"fmt"
	"io"

	"tributary/measure"
)

// A RacedTimes is what the scenario "raced" measured: how long requests take while
// the best link fails and nothing has told of it.
type RacedTimes struct {
	Cases []RacedCase `json:"cases"`
	// Asked are the requests through the gateway, Opened the connections from the
	// relay that the final server has seen.
	Asked  int `json:"asked"`
	Opened int `json:"opened"`
}

// A RacedCase is one kind of request, in ms from the client's SYN to the first byte.
type RacedCase struct {
	What   string         `json:"what"`
	First  measure.Spread `json:"first_byte_ms"`
	Count  int            `json:"count"`
	Failed int            `json:"failed"`
	Raced  int64          `json:"raced"` // sent over two links
	Won    int64          `json:"won"`   // of those, answered over the second
}

// The cases.
const (
	racedHealthy  = "direct over LTE"
	racedFirst    = "DSL goes silent, a request 50 ms later"
	racedLater    = "DSL is silent, from 250 ms to 10 s"
	racedPlain    = "plain pair, DSL is silent"
	racedDoubtful = "DSL loses 20 %"
	racedLossy    = "DSL loses 20 %, direct over DSL"
)

// Targets for the reference lab: R' = 60 ms over LTE, P = 20 ms.
const (
	racedDirectMs = 2 * (60 + 20)
	racedIdealMs  = 60 + 2*20
	racedFirstMs  = 400
	racedMedianMs = racedIdealMs + 10
	racedP95Ms    = 400
)

func (t *RacedTimes) judge(r *Report) {
	failed := 0
	for _, c := range t.Cases {
		if !c.ours() {
			if c.What == racedPlain {
				r.figure(c.What+": requests that failed", 100*float64(c.Failed)/float64(max(1, c.Count)), "%", nil)
			}
			r.figure(c.What+": first byte, median", c.First.Median, "ms", nil)
			r.figure(c.What+": first byte, p95", c.First.P95, "ms", nil)
			continue
		}
		failed += c.Failed
		if c.Failed == c.Count {
			continue
		}
		target := map[string][2]*Target{
			racedFirst:    {atMost(racedFirstMs), nil},
			racedLater:    {atMost(racedMedianMs), atMost(racedP95Ms)},
			racedDoubtful: {nil, atMost(racedDirectMs)},
		}[c.What]
		r.figure(c.What+": first byte, median", c.First.Median, "ms", target[0])
		r.figure(c.What+": first byte, p95", c.First.P95, "ms", target[1])
		r.figure(c.What+": first byte, max", c.First.Max, "ms", nil)
	}
	r.figure("requests that failed", float64(failed), "", atMost(0))
	twice := max(0, t.Opened-t.Asked)
	r.figure("connections that the final server saw twice", float64(twice), "", atMost(0))
	r.check("every request is answered", failed == 0, "%d of %d failed", failed, t.Asked)
	r.check("the final server sees each request once", t.Opened == t.Asked, "%d connections for %d requests", t.Opened, t.Asked)
}

// ours reports whether a case is through a gateway that looks after its links.
func (c RacedCase) ours() bool {
	return c.What != racedHealthy && c.What != racedLossy && c.What != racedPlain
}

// WriteSection writes a table.
func (t *RacedTimes) WriteSection(w io.Writer) {
	fmt.Fprintf(w, "DSL, the best link, loses all packets, or one in five, and nothing tells of it. A request that the relay does not acknowledge in\n"+
		"time, or that would leave over a doubtful link, goes out over a second link too. On a warm connection over LTE the first\n"+
		"byte takes %d ms at best, and %d ms without a proxy. In ms, from the client's SYN.\n\n", racedIdealMs, racedDirectMs)
	fmt.Fprint(w, "| case | median / p95 | max | requests | sent twice | won by the second | failed |\n|---|---|---|---|---|---|---|\n")
	for _, c := range t.Cases {
		fmt.Fprintf(w, "| %s | %s | %.0f | %d | %d | %d | %d |\n", c.What, mdCell(c.First, c.Failed < c.Count), c.First.Max, c.Count, c.Raced, c.Won, c.Failed)
	}
}

// Figures returns none: the table is short.
func (t *RacedTimes) Figures() map[string][]byte { return nil }
