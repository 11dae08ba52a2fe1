package lab

import (
	"fmt"
	"io"
	"math"
	"text/tabwriter"

	"tributary/lab/page"
	"tributary/measure"
	"tributary/measure/figure"
)

// A PageLoads is what the scenario "browser" measured: how long a browser takes
// for a page, by its own times, in ms since the navigation began.
type PageLoads struct {
	Browser   string        `json:"browser"` // name and version
	Resources int           `json:"resources"`
	Hosts     int           `json:"hosts"`
	Bytes     int           `json:"bytes"` // of bodies, the page's own included
	Ways      []PageLoadWay `json:"ways"`
}

// Ways of the page, besides [WayDirect].
const (
	// WayKnown is direct for a browser that need not ask for names.
	WayKnown = "direct, names known"
	// WayFirst is through a gateway that was just started, with as few warm
	// connections as it keeps at rest.
	WayFirst = "Tributary, first page"
	// WayNext is through a gateway that has seen such a page before.
	WayNext = "Tributary"
	// WayNextKnown is the same when the relay need not ask for names.
	WayNextKnown = "Tributary, names known"
)

// A PageLoadWay is one way's loads by one scheme. Spreads are over loads, except
// those of single requests, which are over all of them.
type PageLoadWay struct {
	Scheme string `json:"scheme"` // http (version 1.1) or https (version 2)
	Way    string `json:"way"`
	Loads  int    `json:"loads"`
	// Page is the first byte of the page itself, Paint the first content painted,
	// Load the end of the load event.
	Page  measure.Spread `json:"page_first_byte_ms"`
	Paint measure.Spread `json:"first_paint_ms"`
	Load  measure.Spread `json:"load_ms"`
	// Connect is a new connection, with its name and TLS; Answer is from a request to
	// the first byte of its answer.
	Connect measure.Spread `json:"connect_ms"`
	Answer  measure.Spread `json:"answer_ms"`
	// Connections came to the servers for each load, in the median. Of those through
	// the gateway, Cold found no warm connection, over all loads.
	Connections float64 `json:"connections"`
	Cold        int     `json:"cold"`
	// Faults are what was missing in a load, or was not of it.
	Faults []string `json:"faults,omitempty"`
	// Middle is the load whose time is the median, where it is drawn.
	Middle *PageCourse `json:"middle,omitempty"`
}

// A PageCourse is one load, for a picture. Times are in ms.
type PageCourse struct {
	Paint float64 `json:"first_paint_ms"`
	Load  float64 `json:"load_ms"`
	// Rows are the page and its resources in the order of their beginning, each with
	// how long it was kept waiting, its name and connection, the time to its first
	// byte, and the body.
	Rows []figure.Row `json:"rows"`
}

func newPageCourse(l *page.Load) *PageCourse {
	c := &PageCourse{Load: tenth(l.LoadTime())}
	paint, _ := l.FirstPaint()
	c.Paint = tenth(paint)
	for _, e := range l.All() {
		c.Rows = append(c.Rows, figure.Row{Start: tenth(e.Start), Phases: []float64{
			tenth(e.Waited()), tenth(e.Lookup() + e.Connect()), tenth(e.FirstByte()), tenth(e.Body()),
		}})
	}
	return c
}

// tenth drops digits that mean nothing.
func tenth(ms float64) float64 { return math.Round(ms*10) / 10 }

// way returns one way's loads by a scheme; ok is false where none was measured.
func (l *PageLoads) way(scheme, way string) (w PageLoadWay, ok bool) {
	for _, w := range l.Ways {
		if w.Scheme == scheme && w.Way == way {
			return w, true
		}
	}
	return w, false
}

// pageTarget is what the load time through the gateway may be of that direct.
const pageTarget = 1.0

// schemeText names a scheme as in tables and figures.
func schemeText(scheme string) string {
	if scheme == "https" {
		return "HTTPS (HTTP/2)"
	}
	return "HTTP/1.1"
}

func (l *PageLoads) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "  median ms\tpage's first byte\tfirst paint\tloaded\tmin to max\tnew connection\tanswer\tconnections\tcold\t")
	for _, v := range l.Ways {
		fmt.Fprintf(t, "  %s, %s\t%.0f\t%.0f\t%.0f\t%.0f to %.0f\t%.0f\t%.0f\t%.0f\t%d\t\n", v.Scheme, v.Way,
			v.Page.Median, v.Paint.Median, v.Load.Median, v.Load.Min, v.Load.Max, v.Connect.Median, v.Answer.Median, v.Connections, v.Cold)
	}
	return t.Flush()
}

// WriteSection writes the table, what it is about, and the picture.
func (l *PageLoads) WriteSection(w io.Writer) {
	fmt.Fprintf(w, "A page of %d resources over %d hosts, %.2f MB, in %s with an empty cache and a new profile for each load. Style sheets name\n"+
		"fonts and images, and scripts further scripts and images. Times are the browser's own (Navigation, Resource and Paint Timing),\n"+
		"in ms since the navigation began. Direct is the best link. In each load a name costs home 40 ms, to a resolver at its provider that\n"+
		"knows them all, and the relay 20 ms; nothing where \"names known\". A \"first page\" is through a gateway that was just started. \"New\n"+
		"connection\" holds name and TLS; \"cold\" counts sessions without a warm connection.\n\n"+
		"![A page in a browser](figures/browser.svg)\n\n", l.Resources, l.Hosts, float64(l.Bytes)/1e6, l.Browser)
	fmt.Fprint(w, "| | loads | page's first byte | first paint | loaded | min to max | new connection | answer | connections | cold |\n"+
		"|---|---|---|---|---|---|---|---|---|---|\n")
	for _, v := range l.Ways {
		fmt.Fprintf(w, "| %s, %s | %d | %.0f | %.0f | %.0f | %.0f to %.0f | %.0f | %.0f | %.0f | %d |\n", schemeText(v.Scheme), v.Way, v.Loads,
			v.Page.Median, v.Paint.Median, v.Load.Median, v.Load.Min, v.Load.Max, v.Connect.Median, v.Answer.Median, v.Connections, v.Cold)
	}
}

// drawnScheme is that of the loads that are drawn: most pages come by it.
const drawnScheme = "https"

// Figures draws the loads of median length by HTTPS.
func (l *PageLoads) Figures() map[string][]byte {
	f := figure.Waterfall{
		Title: "A page in a browser",
		About: fmt.Sprintf("%d resources over %d hosts by HTTPS, each a row, as the browser timed them; the loads of median length. "+
			"DSL with 40 ms and LTE with 60 ms, 20 ms from relay to final servers; direct is over DSL alone.", l.Resources, l.Hosts),
		X:      figure.Axis{Name: "since the navigation began (ms)"},
		Phases: []string{"kept waiting by the browser", "name and connection", "request to first byte", "first byte to last"},
	}
	for _, way := range []string{WayDirect, WayNext} {
		v, ok := l.way(drawnScheme, way)
		if !ok || v.Middle == nil {
			continue
		}
		p := figure.Panel{
			Name:  fmt.Sprintf("%s: %.0f ms", way, v.Middle.Load),
			Rows:  v.Middle.Rows,
			Marks: []figure.Mark{{At: v.Middle.Load, Text: "loaded"}, {At: v.Middle.Paint, Text: "first paint"}},
		}
		f.Panels = append(f.Panels, p)
	}
	return map[string][]byte{"browser.svg": f.SVG()}
}

// judge enters what a scheme's loads are about, and what has to be so whatever the
// machine is busy with.
func (l *PageLoads) judge(r *Report, scheme string) {
	direct, _ := l.way(scheme, WayDirect)
	name := "page by " + schemeText(scheme)
	r.figure(name+", direct: loaded", direct.Load.Median, "ms", nil)
	for _, w := range l.Ways {
		if w.Scheme == scheme {
			r.check(name+", "+w.Way+": all of it comes, and nothing else", len(w.Faults) == 0, "%d loads%s", w.Loads, firstOf(w.Faults))
		}
	}
	known, _ := l.way(scheme, WayKnown)
	for _, way := range []string{WayKnown, WayFirst, WayNext, WayNextKnown} {
		w, ok := l.way(scheme, way)
		if !ok {
			continue
		}
		// What knows the names is held against what knows them.
		direct := direct
		if way == WayNextKnown {
			direct = known
		}
		var target *Target
		if way == WayNext || way == WayNextKnown {
			target = atMost(pageTarget)
		}
		r.figure(name+", "+way+": loaded", w.Load.Median, "ms", nil)
		if direct.Loads == 0 {
			continue
		}
		r.figure(name+", "+way+": loaded, of the time "+direct.Way, w.Load.Median/direct.Load.Median, "", target)
		r.figure(name+", "+way+": first paint, of the time "+direct.Way, w.Paint.Median/direct.Paint.Median, "", nil)
	}
}

// firstOf is the first of several faults, for a detail.
func firstOf(faults []string) string {
	if len(faults) == 0 {
		return ""
	}
	return fmt.Sprintf(", %d faults: %s", len(faults), faults[0])
}
