package figure

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func waterfall() Waterfall {
	return Waterfall{
		Title: "A page", About: "Each row is a resource.", X: Axis{Name: "ms"}, Phases: []string{"waiting", "connecting", "the answer"},
		Panels: []Panel{
			{"direct & plain", []Row{{0, []float64{10, 100, 60}}, {170, []float64{5, 0, 61}}}, []Mark{{180, "first paint"}, {240, "loaded"}}},
			{"ours", []Row{{0, []float64{10, 0, 60}}, {70, []float64{0, 0, 61}}}, []Mark{{131, "loaded"}}},
		},
	}
}

func TestWaterfall(t *testing.T) {
	got := waterfall().SVG()
	path := filepath.Join("testdata", "waterfall.svg")
	if *update {
		if err := os.WriteFile(path, got, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if want, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
		t.Errorf("the picture differs (%v); look at what go test -update ./measure/figure changes", err)
	}
	if end := waterfall().last(); end != 240 {
		t.Errorf("ends at %v, want 240", end)
	}
	for name, svg := range map[string][]byte{"waterfall": got, "empty": Waterfall{}.SVG(), "empty panel": Waterfall{Panels: []Panel{{}}}.SVG()} {
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
		if s := string(svg); strings.Contains(s, "NaN") || strings.Contains(s, "Inf") {
			t.Errorf("%s has an impossible number\n%s", name, s)
		}
	}
}
