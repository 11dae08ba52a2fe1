package figure

import (
	"fmt"
	"html"
	"strconv"
	"strings"
)

// A drawing is an SVG file on its way.
type drawing struct{ b strings.Builder }

// write appends markup. Numbers among args are written with one decimal at most,
// so that the last bits of a float never show; texts are escaped.
func (d *drawing) write(format string, args ...any) {
	for i, a := range args {
		switch a := a.(type) {
		case float64:
			args[i] = number(a)
		case string:
			args[i] = html.EscapeString(a)
		}
	}
	fmt.Fprintf(&d.b, format+"\n", args...)
}

func number(v float64) string {
	s := strings.TrimSuffix(strconv.FormatFloat(v, 'f', 1, 64), ".0")
	if s == "-0" {
		return "0"
	}
	return s
}

// finish returns the file. Title and about are also for those who hear it.
func (d *drawing) finish(height float64, title, about string) []byte {
	var out drawing
	out.write(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %v %v" width="%v" height="%v" role="img">`, float64(width), height, float64(width), height)
	out.write(`<title>%v</title>`, title)
	out.write(`<desc>%v</desc>`, about)
	out.b.WriteString(style)
	out.write(`<rect class="frame" x="0.5" y="0.5" width="%v" height="%v" rx="8"/>`, float64(width-1), height-1)
	out.b.WriteString(d.b.String())
	out.b.WriteString("</svg>\n")
	return []byte(out.b.String())
}

// heading writes title and about and returns where the picture below may begin.
func (d *drawing) heading(title, about string) float64 {
	d.write(`<text class="title" x="%v" y="%v">%v</text>`, float64(margin), 32.0, title)
	y := 32.0
	for _, line := range wrap(about, (width-2*margin)/glyph) {
		y += lineSpace
		d.write(`<text class="soft" x="%v" y="%v">%v</text>`, float64(margin), y, line)
	}
	return y + 16
}

// wrap breaks a text at spaces into lines of at most so many letters.
func wrap(text string, letters float64) (lines []string) {
	line := ""
	for _, word := range strings.Fields(text) {
		switch {
		case line == "":
			line = word
		case runes(line)+1+runes(word) > letters:
			lines = append(lines, line)
			line = word
		default:
			line += " " + word
		}
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}

func runes(s string) float64 { return float64(len([]rune(s))) }

// textWidth is about how wide a text is.
func textWidth(s string) float64 { return runes(s) * glyph }

// apart moves positions that are closer than gap away from each other, as little
// as keeps their order and the bounds. They must be sorted.
func apart(at []float64, gap, low, high float64) {
	for i := range at {
		at[i] = max(at[i], low)
		if i > 0 {
			at[i] = max(at[i], at[i-1]+gap)
		}
	}
	for i := len(at) - 1; i >= 0; i-- {
		at[i] = min(at[i], high)
		if i < len(at)-1 {
			at[i] = min(at[i], at[i+1]-gap)
		}
	}
}
