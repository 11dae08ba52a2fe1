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
	const height = 460.0
	d := &drawing{}
	top := legend(d, b.Series, d.heading(b.Title, b.About)) + 16
	left, right, bottom := 70.0, float64(width-margin), height-58
	y := b.Y.scale(0, b.highest(), bottom, top, 6)
	// The scale of the groups has no ticks: their names stand below them.
	drawAxes(d, scale{from: left, to: right, high: 1}, y, b.X, b.Y.Name)
	if b.Line > 0 {
		d.write(`<path class="mark" d="M%v %vH%v"/>`, left, y.at(b.Line), right)
	}
	wide := (right - left) / math.Max(float64(len(b.Groups)), 1)
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

// legend writes the names of the series and returns where to go on.
func legend(d *drawing, names []string, y float64) float64 {
	x := float64(margin)
	y += 8
	for i, name := range names {
		if x > margin && x+22+textWidth(name) > width-margin {
			x, y = margin, y+lineSpace
		}
		d.write(`<rect class="f%d" x="%v" y="%v" width="12" height="12" rx="2"/>`, i%colours, x, y-10)
		d.write(`<text x="%v" y="%v">%v</text>`, x+18, y, name)
		x += 18 + textWidth(name) + 18
	}
	return y
}

func (b Bars) group(d *drawing, g Group, left, wide float64, y scale) {
	bar := wide * 0.84 / math.Max(float64(len(b.Series)), 1)
	for i, v := range g.Values {
		if v < 0 {
			continue
		}
		x := left + wide*0.08 + float64(i)*bar
		d.write(`<rect class="f%d" x="%v" y="%v" width="%v" height="%v" rx="1.5"/>`, i%colours, x+1, y.at(v), bar-2, y.from-y.at(v))
		if i < len(g.Texts) {
			// Upright where there is room, else along the bar.
			if textWidth(g.Texts[i])*0.88 < bar+2 {
				d.write(`<text class="small halo" x="%v" y="%v" text-anchor="middle">%v</text>`, x+bar/2, y.at(v)-5, g.Texts[i])
			} else {
				d.write(`<text class="small halo" transform="translate(%v %v) rotate(-90)">%v</text>`, x+bar/2+4, y.at(v)-5, g.Texts[i])
			}
		}
	}
	d.write(`<text class="small" x="%v" y="%v" text-anchor="middle">%v</text>`, left+wide/2, y.from+19, g.Name)
}
