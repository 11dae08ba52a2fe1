package figure

import "math"

// Bars is a chart of groups of bars, one bar for each series in each group.
type Bars struct {
	Title, About string
	Y            Axis
	X            string   // what tells the groups apart
	Series       []string // names, for the legend
	Groups       []Group
	// Line is a value to draw across, such as 100 for "as long as"; 0 draws none.
	Line float64
}

// A Group has a value for each series; a negative one is missing. Texts, if set,
// stand over the bars.
type Group struct {
	Name   string
	Values []float64
	Texts  []string
}

// SVG draws the chart.
func (b Bars) SVG() []byte {
	d := &drawing{}
	height, under := 460.0, legend(d, b.Series, d.heading(b.Title, b.About))
	left, right := 70.0, float64(width-margin)
	wide := (right - left) / math.Max(float64(len(b.Groups)), 1)
	y := b.Y.scale(0, b.highest(), height-58, under+16, 6)
	// Texts over high bars must not reach the legend.
	if down := under + 6 - b.top(y, wide); down > 0 {
		height += down
		y = b.Y.scale(0, b.highest(), height-58, under+16+down, 6)
	}
	// The scale of the groups has no ticks: their names stand below them.
	drawAxes(d, scale{from: left, to: right, high: 1}, y, b.X, b.Y.Name)
	if b.Line > 0 {
		d.write(`<path class="mark" d="M%v %vH%v"/>`, left, y.at(b.Line), right)
	}
	for i, g := range b.Groups {
		b.group(d, g, left+float64(i)*wide, wide, y)
	}
	return d.finish(height, b.Title, b.About)
}

func (b Bars) highest() (high float64) {
	high = b.Line
	for _, g := range b.Groups {
		for _, v := range g.Values {
			high = math.Max(high, v)
		}
	}
	return high
}

// bar returns how wide a bar is in a group of that width.
func (b Bars) bar(wide float64) float64 {
	return wide * 0.84 / math.Max(float64(len(b.Series)), 1)
}

// upright reports whether a text has room over a bar, or else stands along it.
func upright(text string, bar float64) bool { return textWidth(text)*0.88 < bar+2 }

// top returns how high the texts reach.
func (b Bars) top(y scale, wide float64) float64 {
	top := y.to
	for _, g := range b.Groups {
		for i, text := range g.Texts {
			if g.Values[i] >= 0 && !upright(text, b.bar(wide)) {
				top = math.Min(top, y.at(g.Values[i])-5-textWidth(text))
			}
		}
	}
	return top
}

// legend writes the names of the series and returns where to go on.
func legend(d *drawing, names []string, y float64) float64 {
	return legendOf(d, names, y, func(i int) int { return i % colours })
}

// legendOf is legend with colours of one's own.
func legendOf(d *drawing, names []string, y float64, colour func(int) int) float64 {
	x := float64(margin)
	y += 8
	for i, name := range names {
		if x > margin && x+22+textWidth(name) > width-margin {
			x, y = margin, y+lineSpace
		}
		d.write(`<rect class="f%d" x="%v" y="%v" width="12" height="12" rx="2"/>`, colour(i), x, y-10)
		d.write(`<text x="%v" y="%v">%v</text>`, x+18, y, name)
		x += 18 + textWidth(name) + 18
	}
	return y
}

func (b Bars) group(d *drawing, g Group, left, wide float64, y scale) {
	bar := b.bar(wide)
	for i, v := range g.Values {
		if v < 0 {
			continue
		}
		x := left + wide*0.08 + float64(i)*bar
		d.write(`<rect class="f%d" x="%v" y="%v" width="%v" height="%v" rx="1.5"/>`, i%colours, x+1, y.at(v), bar-2, y.from-y.at(v))
		if i < len(g.Texts) {
			if upright(g.Texts[i], bar) {
				d.write(`<text class="small halo" x="%v" y="%v" text-anchor="middle">%v</text>`, x+bar/2, y.at(v)-5, g.Texts[i])
			} else {
				d.write(`<text class="small halo" transform="translate(%v %v) rotate(-90)">%v</text>`, x+bar/2+4, y.at(v)-5, g.Texts[i])
			}
		}
	}
	d.write(`<text class="small" x="%v" y="%v" text-anchor="middle">%v</text>`, left+wide/2, y.from+19, g.Name)
}
