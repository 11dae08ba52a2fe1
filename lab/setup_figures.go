package lab

import (
	"fmt"
	"slices"
	"time"

	"tributary/measure"
	"tributary/measure/figure"
)

// Figures draws the measurements as SVG, by the name of the file.
func (s *SetupTimes) Figures() map[string][]byte {
	all := map[string][]byte{
		"setup.svg":              s.drawCurve(),
		"completion-by-size.svg": s.drawSizes(),
	}
	texts := map[string][2]string{
		LadderSOCKS5: {"SOCKS5 step by step, over Multipath TCP",
			"Packets captured in the lab: 40 ms over DSL, 60 ms over LTE, 20 ms from relay to final server. Five round trips to the relay until the first byte, and two to the final server."},
		LadderWarm: {"Tributary, on a warm connection",
			"Packets captured in the same run. The connection to the relay was there before the client came, authenticated and joined over both links. One round trip to the relay until the first byte, and two to the final server."},
	}
	for name, l := range s.Ladders {
		l.Title, l.About = texts[name][0], texts[name][1]
		all[name+".svg"] = l.SVG()
	}
	return all
}

func (s *SetupTimes) drawCurve() []byte {
	c := figure.Lines{
		Title: "Setup time against the round trip",
		About: "From the client's SYN to the first byte of the answer. Median; whiskers reach the 95th percentile. The second link has R + 20 ms; 20 ms from relay to final server. SOCKS5 goes over Multipath TCP.",
		X:     figure.Axis{Name: "R, round trip of the best link (ms)", Ticks: s.lengths()},
		Y:     figure.Axis{Name: "setup time (ms)"},
	}
	// In this order for the colours: ours are to be seen first, direct is the background.
	// By HTTP ours is the same line, and one of the peer's is enough.
	for _, way := range []string{WayWarm, WayPassword, WayCold, WayOpen, WayPipelined, WayDirect, WayPeer} {
		if !slices.Contains(s.Ways, way) {
			continue
		}
		line := figure.Series{Name: way}
		for _, r := range s.lengths() {
			if p, ok := s.curve(way, r); ok && p.Failed < p.Count {
				line.Points = append(line.Points, figure.Point{X: r, Y: p.First.Median, High: p.First.P95})
			}
		}
		c.Series = append(c.Series, line)
	}
	return c.SVG()
}

// sizeWay is what a way is called where sizes matter.
func sizeWay(way string) string {
	switch way {
	case WayDirect:
		return "plain TCP, best link"
	case WayPassword:
		return "fresh MPTCP, SOCKS5 step by step"
	}
	return way
}

func (s *SetupTimes) drawSizes() []byte {
	sizes, ways := s.sizes()
	b := figure.Bars{
		Title: "Completion time by size",
		About: "From the client's SYN to the last byte of the answer, median, as a share of plain TCP over the best link; R = 40 and 60 ms, 20 ms from relay to final server.",
		X:     "size of the answer", Y: figure.Axis{Name: "time (% of plain TCP)"}, Line: 100,
	}
	for _, way := range ways {
		b.Series = append(b.Series, sizeWay(way))
	}
	for _, n := range sizes {
		best, _ := s.size(WayDirect, n)
		g := figure.Group{Name: measure.SizeText(n)}
		for _, way := range ways {
			p, _ := s.size(way, n)
			g.Values = append(g.Values, 100*p.Last.Median/best.Last.Median)
			g.Texts = append(g.Texts, timeText(p.Last.Median))
		}
		b.Groups = append(b.Groups, g)
	}
	return b.SVG()
}

// timeText writes a time in ms with three digits that matter.
func timeText(v float64) string {
	if v < 1000 {
		return fmt.Sprintf("%.0f ms", v)
	}
	return fmt.Sprintf("%.2f s", (time.Duration(v*1e6) * time.Nanosecond).Seconds())
}
