package lab

import (
	"fmt"
	"io"
	"text/tabwriter"

	"tributary/measure"
	"tributary/measure/figure"
)

// A SetupTimes is what the scenario "setup" measured: what it costs to open a
// connection, by several ways in one run. Times are in ms since the client's SYN.
type SetupTimes struct {
	Environment Environment  `json:"environment"`
	Ways        []string     `json:"ways"`           // of Curve, in the order of the tables
	Peer        string       `json:"peer,omitempty"` // program and version of WayPeer, if it was there
	Curve       []CurvePoint `json:"curve"`
	Sizes       []SizePoint  `json:"sizes"`
	Burst       []BurstPoint `json:"bursts"`
	// Ladders are drawn from the packets of one connection each.
	Ladders map[string]figure.Ladder `json:"ladders"`
}

// The ways that are compared, named as in the figures.
const (
	WayDirect    = "direct"
	WayOpen      = "SOCKS5"
	WayPassword  = "SOCKS5, password"
	WayPipelined = "SOCKS5, pipelined"
	WayCold      = "Tributary, cold"
	WayWarm      = "Tributary, warm"
	WayHTTP      = "Tributary, warm, by HTTP"
	WayPeer      = "sing-box, Shadowsocks"
	WayPeerMux   = "sing-box, smux"
)

// Names of the ladders.
const (
	LadderSOCKS5 = "ladder-socks5"
	LadderWarm   = "ladder-warm"
)

// A CurvePoint is the setup time by one way over links of one length.
type CurvePoint struct {
	Way    string         `json:"way"`
	RMs    float64        `json:"r_ms"` // round trip of the best link
	First  measure.Spread `json:"first_byte_ms"`
	Count  int            `json:"count"`
	Failed int            `json:"failed"`
}

// A SizePoint is the time until an answer of one size is complete.
type SizePoint struct {
	Way    string         `json:"way"`
	Size   int64          `json:"size"`
	Last   measure.Spread `json:"last_byte_ms"`
	Count  int            `json:"count"`
	Failed int            `json:"failed"`
}

// A BurstPoint is a burst after a rest.
type BurstPoint struct {
	Way    string         `json:"way"`
	First  measure.Spread `json:"first_byte_ms"`
	Last   measure.Spread `json:"last_byte_ms"`
	Opens  int            `json:"opens"`
	Failed int            `json:"failed"`
	// Sessions were found among the captured packets; Joined of them began when every
	// link had its subflow.
	Sessions int `json:"sessions"`
	Joined   int `json:"joined"`
}

// curve returns a way's point of the curve; ok is false where none was measured.
func (s *SetupTimes) curve(way string, rMs float64) (p CurvePoint, ok bool) {
	for _, p := range s.Curve {
		if p.Way == way && p.RMs == rMs {
			return p, true
		}
	}
	return p, false
}

func (s *SetupTimes) size(way string, size int64) (p SizePoint, ok bool) {
	for _, p := range s.Sizes {
		if p.Way == way && p.Size == size {
			return p, true
		}
	}
	return p, false
}

// lengths returns the round trips of the curve, rising.
func (s *SetupTimes) lengths() (rMs []float64) {
	for _, p := range s.Curve {
		if len(rMs) == 0 || rMs[len(rMs)-1] < p.RMs {
			rMs = append(rMs, p.RMs)
		}
	}
	return rMs
}

// sizes returns the sizes, rising, and the ways in which they were fetched.
func (s *SetupTimes) sizes() (sizes []int64, ways []string) {
	seen := map[string]bool{}
	for _, p := range s.Sizes {
		if len(sizes) == 0 || sizes[len(sizes)-1] < p.Size {
			sizes = append(sizes, p.Size)
		}
		if !seen[p.Way] {
			seen[p.Way] = true
			ways = append(ways, p.Way)
		}
	}
	return sizes, ways
}

// print writes the tables for a person.
func (s *SetupTimes) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "  first byte, median ms\t")
	for _, r := range s.lengths() {
		fmt.Fprintf(t, "R=%g\t", r)
	}
	fmt.Fprintln(t)
	for _, way := range s.Ways {
		fmt.Fprintf(t, "  %s\t", way)
		for _, r := range s.lengths() {
			p, ok := s.curve(way, r)
			fmt.Fprintf(t, "%s\t", cell(p.First.Median, ok && p.Failed < p.Count))
		}
		fmt.Fprintln(t)
	}
	sizes, ways := s.sizes()
	fmt.Fprintf(t, "  last byte, median ms\t")
	for _, n := range sizes {
		fmt.Fprintf(t, "%s\t", measure.SizeText(n))
	}
	fmt.Fprintln(t)
	for _, way := range ways {
		fmt.Fprintf(t, "  %s\t", way)
		for _, n := range sizes {
			p, ok := s.size(way, n)
			fmt.Fprintf(t, "%s\t", cell(p.Last.Median, ok && p.Failed < p.Count))
		}
		fmt.Fprintln(t)
	}
	return t.Flush()
}

func cell(v float64, ok bool) string {
	if !ok {
		return "-"
	}
	return fmt.Sprintf("%.0f", v)
}
