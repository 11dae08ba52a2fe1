package figure

import "math"

// Waterfall is a chart of what overlaps in time: panels one above the other over
// one axis, each with a thin row for everything that happened.
type Waterfall struct {
	Title, About string
	X            Axis // Name alone counts
	// Phases are the names of what a row consists of. The first one is grey: it is for
	// waiting.
	Phases []string
	Panels []Panel
}

// A Panel is one course of events.
type Panel struct {
	Name string
	Rows []Row
	// Marks are moments for all rows.
	Marks []Mark
}

// A Row begins somewhere and has a length for each phase, one after the other.
type Row struct {
	Start  float64
	Phases []float64
}

// end is when the row's last phase is over.
func (r Row) end() float64 {
	end := r.Start
	for _, p := range r.Phases {
		end += p
	}
	return end
}

// phaseColour leaves the grey to the first phase.
func phaseColour(phase int) int {
	const grey = 5
	if phase == 0 {
		return grey
	}
	return (phase - 1) % grey
}

// SVG draws the chart.
func (w Waterfall) SVG() []byte {
	const pitch = 3.4 // from row to row; the bars fill most of it
	d := &drawing{}
	y := legendOf(d, w.Phases, d.heading(w.Title, w.About), phaseColour) + 14
	left, right := float64(margin), float64(width-margin-12)
	tops := make([]float64, len(w.Panels))
	for i, p := range w.Panels {
		tops[i] = y + 26
		y = tops[i] + float64(len(p.Rows))*pitch + 12
	}
	x := linear(0, w.last(), left, right, 8)
	first := y
	if len(tops) > 0 {
		first = tops[0]
	}
	for _, v := range x.ticks {
		d.write(`<path class="grid" d="M%v %vV%v"/>`, x.at(v), first-8, y)
		d.write(`<text class="small soft" x="%v" y="%v" text-anchor="middle">%v</text>`, x.at(v), y+17, tickText(v))
	}
	d.write(`<text class="soft" x="%v" y="%v" text-anchor="middle">%v</text>`, (left+right)/2, y+38, w.X.Name)
	for i, p := range w.Panels {
		p.draw(d, x, tops[i], pitch)
	}
	return d.finish(y+54, w.Title, w.About)
}

func (w Waterfall) last() (last float64) {
	for _, p := range w.Panels {
		for _, r := range p.Rows {
			last = math.Max(last, r.end())
		}
		for _, m := range p.Marks {
			last = math.Max(last, m.At)
		}
	}
	return last
}

// draw writes one path for each phase, which keeps the file small.
func (p Panel) draw(d *drawing, x scale, top, pitch float64) {
	var paths []string
	for i, r := range p.Rows {
		at, y := r.Start, top+(float64(i)+0.5)*pitch
		for k, length := range r.Phases {
			if k == len(paths) {
				paths = append(paths, "")
			}
			from, to := number(x.at(at)), number(x.at(at+length))
			at += length
			if from != to {
				paths[k] += "M" + from + " " + number(y) + "H" + to
			}
		}
	}
	for k, path := range paths {
		if path != "" {
			d.write(`<path class="c%d" stroke-width="2.8" d="%v"/>`, phaseColour(k), path)
		}
	}
	bottom := top + float64(len(p.Rows))*pitch + 3
	d.write(`<text class="bold halo" x="%v" y="%v">%v</text>`, x.from, top-10, p.Name)
	for _, m := range p.Marks {
		d.write(`<path class="axis" d="M%v %vV%v"/>`, x.at(m.At), top-18, bottom)
		d.write(`<text class="small halo" x="%v" y="%v" text-anchor="end">%v</text>`, x.at(m.At)-5, top-9, m.Text)
	}
}
