package figure

import (
	"regexp"
	"strconv"
	"testing"
)

// Texts along narrow bars go up from their ends, and the legend is there.
func TestTextsStayBelowTheLegend(t *testing.T) {
	b := Bars{Title: "t", About: "a", Y: Axis{Name: "y"}, X: "x", Series: []string{"one", "two", "three", "four"}}
	for range 7 {
		b.Groups = append(b.Groups, Group{Name: "g", Values: []float64{10, 199, 30, -1}, Texts: []string{"123 ms", "1234 ms", "1 ms", "none"}})
	}
	svg := string(b.SVG())
	legend := number1(t, svg, `<text x="\d+" y="([\d.]+)">one</text>`)
	text := number1(t, svg, `translate\([\d.]+ ([\d.]+)\) rotate\(-90\)">1234 ms`)
	if top := text - textWidth("1234 ms"); top < legend {
		t.Errorf("the text reaches up to %v, the legend stands at %v", top, legend)
	}
}

func number1(t *testing.T, in, pattern string) float64 {
	t.Helper()
	m := regexp.MustCompile(pattern).FindStringSubmatch(in)
	if m == nil {
		t.Fatalf("no %s in\n%s", pattern, in)
	}
	v, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}
