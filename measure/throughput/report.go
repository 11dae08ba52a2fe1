package throughput

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"tributary/measure/figure"
)

// A Report is what a [Run] found. Rates are in Mbit/s of payload, in steady state;
// 0 is what was not measured.
type Report struct {
	Seconds    float64     `json:"seconds"` // of each transfer
	Directions []Direction `json:"directions"`
	Verdict    []string    `json:"verdict"` // in words, a sentence or two each
	Notes      []string    `json:"notes,omitempty"`
}

// A Direction is down or up.
type Direction struct {
	Name         string     `json:"direction"`
	Links        []LinkRate `json:"links"`
	TogetherMbit float64    `json:"together_mbit"` // all links at the same time, each for itself
	BundleMbit   float64    `json:"bundle_mbit"`
	BundleError  string     `json:"bundle_error,omitempty"`
	OthersMbit   float64    `json:"others_mbit"` // what the gateway carried meanwhile
	Moved        int64      `json:"bytes"`       // in all

	took time.Duration // of the links' transfers
}

// A LinkRate is one link in one direction.
type LinkRate struct {
	Name         string  `json:"name"`
	Mode         string  `json:"mode"`
	Metered      bool    `json:"metered"`
	RTTms        float64 `json:"rtt_ms"` // before
	AloneMbit    float64 `json:"alone_mbit"`
	TogetherMbit float64 `json:"together_mbit"` // while all others were busy too
	InBundleMbit float64 `json:"in_bundle_mbit"`
	// Role is the part that the link played in the bundle, as the gateway said: full,
	// backup or out, with its reason.
	Role    string `json:"role,omitempty"`
	RoleWhy string `json:"role_why,omitempty"`
	Error   string `json:"error,omitempty"`
}

// Print writes tables and the verdict for a person.
func (r *Report) Print(w io.Writer) error {
	for _, d := range r.Directions {
		if err := d.print(w); err != nil {
			return err
		}
	}
	for _, v := range r.Verdict {
		fmt.Fprintln(w, v)
	}
	for _, n := range r.Notes {
		fmt.Fprintf(w, "note: %s\n", n)
	}
	return nil
}

func (d Direction) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "%s, Mbit/s\tmode\tRTT\talone\tall at once\tin the bundle\t\n", d.Name)
	for _, l := range d.Links {
		rtt := "-"
		if l.RTTms > 0 {
			rtt = fmt.Sprintf("%.0f ms", l.RTTms)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t\n", l.Name, l.Mode, rtt, cell(l.AloneMbit), cell(l.TogetherMbit), cell(l.InBundleMbit))
	}
	fmt.Fprintf(t, "together\t\t\t\t%s\t%s\t\n", cell(d.TogetherMbit), cell(d.BundleMbit))
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w)
	return err
}

func cell(mbit float64) string {
	if mbit == 0 {
		return "-"
	}
	return number(mbit)
}

// number writes a rate with three digits that matter.
func number(mbit float64) string {
	switch {
	case mbit >= 99.95:
		return fmt.Sprintf("%.0f", mbit)
	case mbit >= 9.995:
		return fmt.Sprintf("%.1f", mbit)
	}
	return fmt.Sprintf("%.2f", mbit)
}

// SVG draws the rates as bars.
func (r *Report) SVG() []byte {
	b := figure.Bars{
		Title: "Throughput of links and bundle",
		About: fmt.Sprintf("Payload in steady state, transfers of %g s.", r.Seconds),
		Y:     figure.Axis{Name: "Mbit/s"}, X: "direction",
	}
	for _, d := range r.Directions {
		g := figure.Group{Name: d.Name}
		var names []string
		add := func(name string, v float64) {
			names, g.Values, g.Texts = append(names, name), append(g.Values, v), append(g.Texts, cell(v))
		}
		for _, l := range d.Links {
			add(l.Name+" alone", l.AloneMbit)
		}
		add("all at once", d.TogetherMbit)
		add("bundle", d.BundleMbit)
		b.Series, b.Groups = names, append(b.Groups, g)
	}
	return b.SVG()
}
