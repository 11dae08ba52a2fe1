package figure

import "math"

// A Ladder shows packets between hosts, time running downwards. Each host is a
// vertical line.
type Ladder struct {
	Title, About string
	Hosts        []string // from left to right
	Links        []string // the colours' names, for the legend
	Arrows       []Arrow
	Marks        []Mark
	// Tick is the distance of time marks, in milliseconds.
	Tick float64
}

// An Arrow is a packet, or some that went together. Times are in milliseconds.
type Arrow struct {
	From, To      int // in Hosts
	Sent, Arrived float64
	Text          string
	Link          int // in Links
}

// A Mark is a moment that matters, drawn across all lines.
type Mark struct {
	At   float64
	Text string
}

const (
	ladderScale = 2.6 // pixels for a millisecond
	axisWidth   = 64  // for the times, on the left
	// maxLadder bounds the height: longer runs are drawn to a smaller scale.
	maxLadder = 1100
)

// SVG draws the ladder.
func (l Ladder) SVG() []byte {
	d := &drawing{}
	y := d.heading(l.Title, l.About)
	if len(l.Links) > 1 {
		y = l.legend(d, y+4)
	}
	top := y + 48
	last := l.last()
	s := scale{low: 0, high: last, from: top, to: top + math.Min(last*ladderScale, maxLadder)}
	bottom := s.to + 16
	l.times(d, s)
	for i, name := range l.Hosts {
		x := l.host(i)
		d.write(`<text class="bold" x="%v" y="%v" text-anchor="middle">%v</text>`, x, top-26, name)
		d.write(`<path class="axis" d="M%v %vV%v"/>`, x, top-17, bottom)
	}
	for _, a := range l.Arrows {
		l.arrow(d, a, s)
	}
	var placed []box
	for _, a := range l.Arrows {
		placed = l.text(d, a, s, placed)
	}
	l.marks(d, s)
	return d.finish(bottom+margin, l.Title, l.About)
}

func (l Ladder) last() (last float64) {
	last = 1
	for _, a := range l.Arrows {
		last = math.Max(last, math.Max(a.Sent, a.Arrived))
	}
	for _, m := range l.Marks {
		last = math.Max(last, m.At)
	}
	return last
}

// host is where a host's line is.
func (l Ladder) host(i int) float64 {
	left, right := axisWidth+56.0, width-margin-56.0
	if len(l.Hosts) < 2 {
		return left
	}
	return left + float64(i)*(right-left)/float64(len(l.Hosts)-1)
}

func (l Ladder) legend(d *drawing, y float64) float64 {
	x := float64(margin)
	for i, name := range l.Links {
		d.write(`<path class="line c%d" d="M%v %vh22"/>`, i%colours, x, y-4)
		d.write(`<text x="%v" y="%v">%v</text>`, x+28, y, name)
		x += 28 + textWidth(name) + 22
	}
	return y + 6
}

func (l Ladder) times(d *drawing, s scale) {
	if !(l.Tick > 0) {
		return
	}
	for t := 0.0; t <= s.high; t += l.Tick {
		d.write(`<path class="grid" d="M%v %vH%v"/>`, float64(axisWidth), s.at(t), float64(width-margin))
		d.write(`<text class="small soft" x="%v" y="%v" text-anchor="end">%v ms</text>`, axisWidth-6.0, s.at(t)+4, tickText(t))
	}
}

// marks are written to the right of the first line, over whatever is there.
func (l Ladder) marks(d *drawing, s scale) {
	for _, m := range l.Marks {
		y := s.at(m.At)
		d.write(`<path class="mark" d="M%v %vH%v"/>`, float64(axisWidth), y, float64(width-margin))
		d.write(`<text class="bold small" x="%v" y="%v">%v</text>`, l.host(0)+8, y+14, m.Text)
	}
}

func (l Ladder) arrow(d *drawing, a Arrow, s scale) {
	x1, y1, x2, y2 := l.host(a.From), s.at(a.Sent), l.host(a.To), s.at(a.Arrived)
	length := math.Hypot(x2-x1, y2-y1)
	if length == 0 {
		return
	}
	ux, uy := (x2-x1)/length, (y2-y1)/length
	c := a.Link % colours
	d.write(`<path class="arrow c%d" d="M%v %vL%v %v"/>`, c, x1, y1, x2-5*ux, y2-5*uy)
	bx, by := x2-9*ux, y2-9*uy
	d.write(`<path class="f%d" d="M%v %vL%v %vL%v %vz"/>`, c, x2, y2, bx-4*uy, by+4*ux, bx+4*uy, by-4*ux)
}

// A box is the place of a text, without its rotation, which is small.
type box struct{ left, top, right, bottom float64 }

func (b box) hits(o box) bool {
	return b.left < o.right && o.left < b.right && b.top < o.bottom && o.top < b.bottom
}

// text writes an arrow's text along it, where it covers least: another text is
// worse than any number of arrows.
func (l Ladder) text(d *drawing, a Arrow, s scale, placed []box) []box {
	if a.Text == "" {
		return placed
	}
	x1, y1, x2, y2 := l.host(a.From), s.at(a.Sent), l.host(a.To), s.at(a.Arrived)
	if x1 > x2 {
		x1, y1, x2, y2 = x2, y2, x1, y1
	}
	slope := (y2 - y1) / (x2 - x1)
	half := textWidth(a.Text) * 0.88 / 2
	shift := math.Max(0, (x2-x1)/2-half-12)
	bestCost, bestX, bestY := math.Inf(1), 0.0, 0.0
	for _, off := range []float64{-5, 13} { // above and below
		for _, part := range []float64{0, -0.5, 0.5, -1, 1} {
			x := (x1+x2)/2 + part*shift
			y := y1 + (x-x1)*slope + off
			cost := math.Abs(part)/10 + (off+5)/100
			for _, piece := range pieces(x, y, half, slope) {
				for _, o := range placed {
					if piece.hits(o) {
						cost += 20
					}
				}
				cost += l.covered(piece, a, s)
			}
			if cost < bestCost {
				bestCost, bestX, bestY = cost, x, y
			}
		}
	}
	d.write(`<text class="small halo f%d" transform="translate(%v %v) rotate(%v)" text-anchor="middle">%v</text>`,
		a.Link%colours, bestX, bestY, math.Atan(slope)*180/math.Pi, a.Text)
	return append(placed, pieces(bestX, bestY, half, slope)...)
}

// pieces covers a sloping text by upright boxes.
func pieces(x, y, half, slope float64) (all []box) {
	const n = 4
	for i := range n {
		cx := x - half + (2*float64(i)+1)*half/n
		cy := y + (cx-x)*slope
		all = append(all, box{cx - half/n, cy - 10, cx + half/n, cy + 2.5})
	}
	return all
}

// covered is how many points of other arrows a box would cover.
func (l Ladder) covered(b box, not Arrow, s scale) (n float64) {
	const points = 60
	for _, a := range l.Arrows {
		if a == not {
			continue
		}
		x1, y1, x2, y2 := l.host(a.From), s.at(a.Sent), l.host(a.To), s.at(a.Arrived)
		for i := 0.0; i <= points; i++ {
			x, y := x1+(x2-x1)*i/points, y1+(y2-y1)*i/points
			if b.left < x && x < b.right && b.top < y && y < b.bottom {
				n++
			}
		}
	}
	return n
}
