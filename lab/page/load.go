package page

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// A Load is what a browser says of one load of the page: Navigation Timing,
// Resource Timing and Paint Timing of the W3C. Times are in ms since the
// navigation began.
type Load struct {
	Navigation Entry    `json:"navigation"`
	Resources  []Entry  `json:"resources"`
	Paint      []Entry  `json:"paint"`
	Failed     []string `json:"failed"` // elements with an error event
}

// An Entry is the part of a PerformanceEntry that is looked at. A time that did
// not come is 0; one that began before the entry, as a connection in use again, is
// equal to the time before it.
type Entry struct {
	Name            string  `json:"name"`
	Initiator       string  `json:"initiatorType"`
	Protocol        string  `json:"nextHopProtocol"`
	Start           float64 `json:"startTime"`
	LookupStart     float64 `json:"domainLookupStart"`
	LookupEnd       float64 `json:"domainLookupEnd"`
	ConnectStart    float64 `json:"connectStart"`
	SecureStart     float64 `json:"secureConnectionStart"`
	ConnectEnd      float64 `json:"connectEnd"`
	RequestStart    float64 `json:"requestStart"`
	ResponseStart   float64 `json:"responseStart"`
	ResponseEnd     float64 `json:"responseEnd"`
	LoadEventEnd    float64 `json:"loadEventEnd"` // of a navigation
	Status          int     `json:"responseStatus"`
	DecodedBodySize int     `json:"decodedBodySize"`
}

// LoadTime is when the load event was over.
func (l *Load) LoadTime() float64 { return l.Navigation.LoadEventEnd }

// FirstPaint is when the first text or image was painted; ok is false if the
// browser painted nothing.
func (l *Load) FirstPaint() (ms float64, ok bool) {
	for _, e := range l.Paint {
		if e.Name == "first-contentful-paint" {
			return e.Start, true
		}
	}
	return 0, false
}

// All returns the page itself and its resources, in the order of their beginning.
func (l *Load) All() []Entry {
	all := append([]Entry{l.Navigation}, l.Resources...)
	slices.SortStableFunc(all[1:], func(a, b Entry) int {
		switch {
		case a.Start < b.Start:
			return -1
		case a.Start > b.Start:
			return 1
		}
		return 0
	})
	return all
}

// Lookup is how long the name took, and Connect the connection, TLS included;
// both are 0 where there was a connection already.
func (e Entry) Lookup() float64 { return e.LookupEnd - e.LookupStart }

// Connect is described at Lookup.
func (e Entry) Connect() float64 { return e.ConnectEnd - e.ConnectStart }

// Waited is how long the browser kept the request to itself besides: for a free
// connection, most of all.
func (e Entry) Waited() float64 { return e.RequestStart - e.Start - e.Lookup() - e.Connect() }

// FirstByte is the time from the request to the first byte of its answer.
func (e Entry) FirstByte() float64 { return e.ResponseStart - e.RequestStart }

// Body is the time from the first byte to the last.
func (e Entry) Body() float64 { return e.ResponseEnd - e.ResponseStart }

// Host is the host that it is from.
func (e Entry) Host() string {
	u, err := url.Parse(e.Name)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// Faults says in what a load is not one of the page p, complete and by a scheme.
// An image or script that the browser could not use counts; a font does not, for
// ours are noise and nobody is told.
func (l *Load) Faults(p *Page, scheme string) (faults []string) {
	want := map[string]int{scheme + "://" + hostNames[0] + "/": len(p.HTML)}
	for _, r := range p.Resources {
		want[scheme+":"+r.URL()] = len(r.Body)
	}
	for _, e := range l.All() {
		size, ok := want[e.Name]
		delete(want, e.Name)
		switch {
		case !ok && strings.HasSuffix(e.Name, "/report"):
		case !ok:
			faults = append(faults, "loaded "+e.Name)
		case e.Status != 200 && e.Status != 0 || e.DecodedBodySize != size: // 0 is untold: of another host
			faults = append(faults, fmt.Sprintf("%s: status %d, %d of %d bytes", e.Name, e.Status, e.DecodedBodySize, size))
		case !(e.ResponseStart > 0 && e.ResponseEnd >= e.ResponseStart):
			faults = append(faults, e.Name+": without times")
		}
	}
	for name := range want {
		faults = append(faults, "did not load "+name)
	}
	for _, name := range l.Failed {
		faults = append(faults, "failed: "+name)
	}
	if !(l.LoadTime() > 0) {
		faults = append(faults, "no load event")
	}
	if _, ok := l.FirstPaint(); !ok {
		faults = append(faults, "nothing was painted")
	}
	slices.Sort(faults)
	return faults
}
