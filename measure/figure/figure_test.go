package figure

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

// pictures are small examples of every kind.
func pictures() map[string][]byte {
	return map[string][]byte{
		"lines.svg": Lines{
			Title: "Setup time against the round trip", About: "Median of 20 connections; whiskers reach the 95th percentile. From the client's SYN to the first byte of the answer.",
			X: Axis{Name: "R, round trip of the best link (ms)", Ticks: []float64{10, 30, 60, 100, 200, 300}}, Y: Axis{Name: "setup time (ms)"},
			Series: []Series{
				{Name: "SOCKS5, password", Points: []Point{{10, 90, 95}, {30, 190, 0}, {60, 340, 360}, {100, 540, 560}, {200, 1040, 1080}, {300, 1540, 1555}}},
				{Name: "direct & plain", Points: []Point{{10, 60, 0}, {30, 100, 0}, {60, 160, 0}, {100, 240, 0}, {200, 440, 0}, {300, 640, 680}}},
				{Name: "cold", Points: []Point{{10, 61, 0}, {30, 102, 0}, {60, 162, 0}, {100, 243, 0}, {200, 442, 0}, {300, 645, 0}}},
				{Name: "warm", Points: []Point{{10, 50, 0}, {30, 70, 0}, {60, 100, 0}, {100, 140, 0}, {200, 240, 0}, {300, 340, 0}}},
			},
		}.SVG(),
		"distribution.svg": Lines{
			Title: "First bytes", About: "Share of connections that had their first byte.", X: Axis{Name: "ms", Log: true}, Y: Axis{Name: "share (%)"},
			Series: []Series{Distribution("ours", []float64{82, 80, 81, 84, 90, 83}), Distribution("direct", []float64{124, 122, 123, 130})},
		}.SVG(),
		"bars.svg": Bars{
			Title: "Completion time by size", About: "As a share of plain TCP.", X: "size", Y: Axis{Name: "time (%)"}, Line: 100,
			Series: []string{"plain TCP, best link", "fresh MPTCP through SOCKS5", "warm"},
			Groups: []Group{{"1 kB", []float64{100, 180, 70}, []string{"120 ms", "220 ms", "80 ms"}}, {"10 kB", []float64{100, 170, -1}, []string{"130 ms", "230 ms", ""}}, {"10 MB", []float64{100, 63, 62}, []string{"2.90 s", "1.83 s", "1.80 s"}}},
		}.SVG(),
		"ladder.svg": Ladder{
			Title: "Stepwise SOCKS5 over MPTCP", About: "Packets of one run.", Hosts: []string{"client", "relay", "final server"}, Links: []string{"dsl", "lte", "Internet"}, Tick: 20,
			Arrows: []Arrow{
				{0, 1, 0, 20, "SYN, MP_CAPABLE", 0}, {1, 0, 20, 40, "SYN ACK, MP_CAPABLE", 0},
				{0, 1, 40, 60, "greeting", 0}, {0, 1, 41, 71, "SYN, MP_JOIN", 1}, {1, 0, 60, 80, "method", 0},
				{1, 2, 80, 90, "SYN", 2}, {2, 1, 90, 100, "SYN ACK", 2}, {1, 0, 71, 101, "SYN ACK, MP_JOIN", 1},
			},
			Marks: []Mark{{110, "first byte, 110 ms"}},
		}.SVG(),
	}
}

func TestGolden(t *testing.T) {
	for name, got := range pictures() {
		path := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(path, got, 0o666); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s differs (%v); look at what go test -update ./measure/figure changes", name, err)
		}
	}
}

// Every picture is XML, names nothing outside itself, and is the same each time.
func TestWellFormed(t *testing.T) {
	all := pictures()
	all["empty lines"] = Lines{}.SVG()
	all["empty bars"] = Bars{}.SVG()
	all["empty ladder"] = Ladder{}.SVG()
	all["odd text"] = Ladder{Title: `<a> & "b"`, Hosts: []string{"<", "&"}, Arrows: []Arrow{{0, 1, 0, 1, "</text>", 0}}}.SVG()
	again := pictures()
	for name, svg := range all {
		d := xml.NewDecoder(bytes.NewReader(svg))
		for {
			_, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Errorf("%s: %v", name, err)
				break
			}
		}
		text := strings.ReplaceAll(string(svg), "http://www.w3.org/2000/svg", "")
		if strings.Contains(text, "http") || strings.Contains(text, "url(") || strings.Contains(text, "NaN") || strings.Contains(text, "Inf") {
			t.Errorf("%s: refers to something outside or has an impossible number\n%s", name, svg)
		}
		if b, ok := again[name]; ok && !bytes.Equal(b, svg) {
			t.Errorf("%s differs from call to call", name)
		}
	}
}

func TestScales(t *testing.T) {
	s := linear(0, 97, 0, 100, 5)
	if s.high != 100 || s.at(50) != 50 || len(s.ticks) != 6 {
		t.Errorf("%+v", s)
	}
	l := decades(5, 2000, 0, 400)
	if l.low != 1 || l.high != 10000 || l.at(100) != 200 || l.at(0) != 0 {
		t.Errorf("%+v", l)
	}
	at := []float64{10, 11, 12, 50}
	apart(at, 5, 0, 52)
	for i := 1; i < len(at); i++ {
		if at[i]-at[i-1] < 5 || at[i] > 52 {
			t.Errorf("too close: %v", at)
		}
	}
}
