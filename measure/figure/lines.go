package figure

import (
	"cmp"
	"math"
	"slices"
)

// Lines is a chart of one or several series over a common axis. Each series has
// its name at its end, so that nobody has to look up a legend; where a
// series has steps, the names stand above.
type Lines struct {
	Title string
	About string // what was measured, in a sentence or two
	X, Y  Axis
	// Series are drawn in this order, the last one on top.
	Series []Series
}

// An Axis says what is on it, with the unit.
type Axis struct {
	Name string
	// Log spreads decades evenly. Values must be above 0.
	Log bool
	// Ticks are the values to write, in place of round numbers.
	Ticks []float64
}

// A Series is a line from point to point.
type Series struct {
	Name   string
	Points []Point
	// Steps draws the value as constant until the next point, as a distribution is.
	Steps bool
	// Plain draws no marker at the points, for many of them.
	Plain bool
}

// A Point is one value. High, if above Y, is the end of a whisker, a high
// percentile for instance.
type Point struct{ X, Y, High float64 }

// Distribution returns the series of the share of values, in percent, that are at
// most X.
func Distribution(name string, values []float64) Series {
	sorted := slices.Sorted(slices.Values(values))
	s := Series{Name: name, Steps: true, Plain: true}
	for i, v := range sorted {
		if i == 0 {
			s.Points = append(s.Points, Point{X: v})
		}
		s.Points = append(s.Points, Point{X: v, Y: 100 * float64(i+1) / float64(len(sorted))})
	}
	return s
}

// SVG draws the chart.
func (l Lines) SVG() []byte {
	const height = 440.0
	d := &drawing{}
	top := d.heading(l.Title, l.About) + 10
	left, right, bottom := 70.0, width-margin-l.labelWidth(), height-58.0
	if l.legend() {
		var names []string
		for _, s := range l.Series {
			names = append(names, s.Name)
		}
		top, right = legend(d, names, top-10)+16, width-margin-8.0
	}
	x, y := l.scales(left, right, top, bottom)
	drawAxes(d, x, y, l.X.Name, l.Y.Name)
	for i, s := range l.Series {
		drawSeries(d, s, i%colours, x, y)
	}
	if !l.legend() {
		l.labels(d, x, y, right+12, top, bottom)
	}
	return d.finish(height, l.Title, l.About)
}

// legend says that the names go above: distributions all end at the same height.
func (l Lines) legend() bool {
	return slices.ContainsFunc(l.Series, func(s Series) bool { return s.Steps })
}

func (l Lines) labelWidth() (w float64) {
	for _, s := range l.Series {
		w = math.Max(w, 1.15*textWidth(s.Name)) // they are bold
	}
	return math.Min(w, width/3) + 12
}

func (l Lines) scales(left, right, top, bottom float64) (x, y scale) {
	lowX, highX := math.Inf(1), math.Inf(-1)
	lowY, highY := math.Inf(1), math.Inf(-1)
	for _, s := range l.Series {
		for _, p := range s.Points {
			lowX, highX = math.Min(lowX, p.X), math.Max(highX, p.X)
			lowY, highY = math.Min(lowY, p.Y), math.Max(highY, math.Max(p.Y, p.High))
		}
	}
	if math.IsInf(lowX, 1) {
		lowX, highX, lowY, highY = 0, 1, 0, 1
	}
	return l.X.scale(lowX, highX, left, right, 6), l.Y.scale(lowY, highY, bottom, top, 6)
}

func (a Axis) scale(low, high, from, to float64, ticks int) scale {
	var s scale
	if a.Log {
		s = decades(low, high, from, to)
	} else {
		s = linear(low, high, from, to, ticks)
	}
	if len(a.Ticks) > 0 {
		s.ticks = a.Ticks
		s.high = math.Max(high, slices.Max(a.Ticks))
	}
	return s
}

func drawAxes(d *drawing, x, y scale, nameX, nameY string) {
	for _, v := range y.ticks {
		d.write(`<path class="grid" d="M%v %vH%v"/>`, x.from, y.at(v), x.to)
		d.write(`<text class="small soft" x="%v" y="%v" text-anchor="end">%v</text>`, x.from-8, y.at(v)+4, tickText(v))
	}
	last := math.Inf(-1)
	for _, v := range x.ticks {
		at := x.at(v)
		d.write(`<path class="axis" d="M%v %vv5"/>`, at, y.from)
		if at-last < textWidth(tickText(v))+4 {
			continue // no room for its text
		}
		last = at
		d.write(`<text class="small soft" x="%v" y="%v" text-anchor="middle">%v</text>`, at, y.from+19, tickText(v))
	}
	d.write(`<path class="axis" d="M%v %vH%v"/>`, x.from, y.from, x.to)
	d.write(`<text class="soft" x="%v" y="%v" text-anchor="middle">%v</text>`, (x.from+x.to)/2, y.from+42, nameX)
	d.write(`<text class="soft" transform="translate(%v %v) rotate(-90)" text-anchor="middle">%v</text>`, 26.0, (y.from+y.to)/2, nameY)
}

func drawSeries(d *drawing, s Series, colour int, x, y scale) {
	if len(s.Points) == 0 {
		return
	}
	path := ""
	for i, p := range s.Points {
		px, py := number(x.at(p.X)), number(y.at(p.Y))
		switch {
		case i == 0:
			path += "M" + px + " " + py
		case s.Steps:
			path += "H" + px + "V" + py
		default:
			path += "L" + px + " " + py
		}
	}
	for _, p := range s.Points {
		if p.High > p.Y {
			d.write(`<path class="whisker c%d" d="M%v %vV%vm-4 0h8"/>`, colour, x.at(p.X), y.at(p.Y), y.at(p.High))
		}
	}
	d.write(`<path class="line c%d" d="%v"/>`, colour, path)
	for _, p := range s.Points {
		if !s.Plain {
			d.write(`<circle class="f%d" cx="%v" cy="%v" r="3.2"/>`, colour, x.at(p.X), y.at(p.Y))
		}
	}
}

// labels writes the names at the ends of the lines.
func (l Lines) labels(d *drawing, x, y scale, left, top, bottom float64) {
	type label struct {
		series int
		at     float64
	}
	var all []label
	for i, s := range l.Series {
		if n := len(s.Points); n > 0 {
			all = append(all, label{i, y.at(s.Points[n-1].Y)})
		}
	}
	slices.SortStableFunc(all, func(a, b label) int { return cmp.Compare(a.at, b.at) })
	at := make([]float64, len(all))
	for i, a := range all {
		at[i] = a.at
	}
	apart(at, lineSpace, top+4, bottom)
	for i, a := range all {
		s := l.Series[a.series]
		end := x.at(s.Points[len(s.Points)-1].X)
		if end < x.to-2 || math.Abs(at[i]-a.at) > 4 {
			d.write(`<path class="whisker c%d" stroke-opacity="0.5" d="M%v %vL%v %v"/>`, a.series%colours, end+5, a.at, left-3, at[i])
		}
		d.write(`<text class="bold f%d" x="%v" y="%v">%v</text>`, a.series%colours, left, at[i]+4.5, s.Name)
	}
}
