package lab

import (
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"tributary/measure/figure"
)

// courseGrain is what the rates of a [Course] are means over: less, and they jump.
const courseGrain = 2 * BucketLength

// Courses are how the rates of a scenario's transfers went, to be seen as pictures.
type Courses []Course

// A Course is the rate of one transfer through the gateway and of one through the plain
// pair, while the same was done to their links.
type Course struct {
	Name   string    `json:"name"`    // of the picture's file
	Title  string    `json:"title"`   // what happens
	About  string    `json:"about"`   // when, and what the links carry
	Ours   []float64 `json:"ours"`    // Mbit/s in each grain since the first byte
	Theirs []float64 `json:"theirs"`  // the same of the plain pair
	Grain  float64   `json:"grain_s"` // in seconds
	Marks  []float64 `json:"marks_s"` // when something happened, in seconds
}

func newCourse(title, about string, ours, theirs Result, marks ...time.Duration) Course {
	c := Course{
		Name: strings.NewReplacer(" ", "-", ",", "").Replace(strings.ToLower(title)), Title: title, About: about,
		Ours: rates(ours), Theirs: rates(theirs), Grain: courseGrain.Seconds(),
	}
	for _, m := range marks {
		c.Marks = append(c.Marks, m.Seconds())
	}
	return c
}

// rates are those of each whole grain, with one digit after the point.
func rates(r Result) (all []float64) {
	for at := time.Duration(0); at+courseGrain <= r.Elapsed; at += courseGrain {
		all = append(all, math.Round(10*r.MbitBetween(at, at+courseGrain))/10)
	}
	return all
}

// WriteSection writes the pictures.
func (all Courses) WriteSection(w io.Writer) {
	for _, c := range all {
		fmt.Fprintf(w, "![%s](figures/%s.svg)\n\n", c.Title, c.Name)
	}
}

// Figures draws them.
func (all Courses) Figures() map[string][]byte {
	pictures := make(map[string][]byte, len(all))
	for _, c := range all {
		pictures[c.Name+".svg"] = c.draw()
	}
	return pictures
}

func (c Course) draw() []byte {
	end := c.Grain * float64(max(len(c.Ours), len(c.Theirs)))
	l := figure.Lines{
		Title: c.Title,
		About: c.About,
		X:     figure.Axis{Name: "time since the first byte (s)", Ticks: append(append([]float64{0}, c.Marks...), math.Floor(end))},
		Y:     figure.Axis{Name: "rate (Mbit/s)"},
	}
	for _, side := range []struct {
		name  string
		rates []float64
	}{{"plain pair", c.Theirs}, {"Tributary", c.Ours}} {
		s := figure.Series{Name: side.name, Steps: true, Plain: true}
		for i, r := range side.rates {
			s.Points = append(s.Points, figure.Point{X: c.Grain * float64(i), Y: r})
		}
		l.Series = append(l.Series, s)
	}
	return l.SVG()
}
