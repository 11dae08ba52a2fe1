package lab

import "io"

// A Section is what a scenario measured besides its figures, as part of a page.
type Section interface {
	// WriteSection writes Markdown that follows the scenario's heading and may have
	// headings of the third rank. Pictures are in the directory "figures".
	WriteSection(w io.Writer)
	// Figures returns those pictures as SVG, by the name of the file.
	Figures() map[string][]byte
}

// Sections returns those of the report, in the order of the page.
func (r *Report) Sections() (all []Section) {
	if r.Setup != nil {
		all = append(all, r.Setup)
	}
	if r.Answers != nil {
		all = append(all, r.Answers)
	}
	if r.Recycled != nil {
		all = append(all, r.Recycled)
	}
	if r.Raced != nil {
		all = append(all, r.Raced)
	}
	if r.Browser != nil {
		all = append(all, r.Browser)
	}
	if r.Replay != nil {
		all = append(all, r.Replay)
	}
	if r.Phone != nil {
		all = append(all, r.Phone)
	}
	if r.Courses != nil {
		all = append(all, r.Courses)
	}
	return all
}

// Measurements are several scenarios' reports of one run.
type Measurements struct {
	// Environment is as it was before the first scenario.
	Environment Environment `json:"environment"`
	Reports     []*Report   `json:"reports"`
	Works       bool        `json:"works"` // every one of them does
	Seconds     float64     `json:"seconds"`
}
