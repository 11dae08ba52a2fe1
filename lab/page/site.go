package page

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// reporter sends the browser's own times once the page is loaded. It waits a
// moment: what was painted is told late, and the end of the load event only
// after it.
const reporter = `{let failed=[];addEventListener("error",e=>failed.push(e.target.src||e.target.href||e.message||"?"),true);
addEventListener("load",()=>setTimeout(()=>{const all=t=>performance.getEntriesByType(t).map(e=>e.toJSON());
fetch("/report",{method:"POST",body:JSON.stringify({navigation:all("navigation")[0],resources:all("resource"),paint:all("paint"),failed})})},300))}`

// start is the page that the browser begins with. It goes on to the page once the
// browser has had the time to start all of itself.
const start = `<!DOCTYPE html><html><head><meta charset="utf-8"><title>Start</title><link rel="icon" href="data:,"></head><body>
<script>setTimeout(()=>location.replace(location.protocol+"//%s/"),%d)</script></body></html>
`

// startMs is how long a browser is left alone before the page.
const startMs = 1500

// maxReport bounds what a browser may say; 61 entries take some 60 kB.
const maxReport = 4 << 20

// A Site serves a page on all its hosts. It is for one browser at a time.
type Site struct {
	page  *Page
	files map[string]Resource // by host and path

	mu       sync.Mutex
	asked    map[string]int // the same
	stranger []string       // what nobody should ask for
	loads    chan *Load
}

// NewSite returns a Site for a page.
func NewSite(p *Page) *Site {
	s := &Site{page: p, files: make(map[string]Resource)}
	for _, r := range p.Resources {
		s.files[r.Host+r.Path] = r
	}
	s.files[hostNames[0]+"/"] = Resource{Type: "text/html; charset=utf-8", Body: p.HTML}
	s.files[StartHost+"/"] = Resource{Type: "text/html; charset=utf-8", Body: fmt.Appendf(nil, start, hostNames[0], startMs)}
	s.Begin()
	return s
}

// Begin forgets what was asked and reported before.
func (s *Site) Begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked, s.stranger, s.loads = make(map[string]int), nil, make(chan *Load, 1)
}

// Wait returns the next load that a browser reports after Begin.
func (s *Site) Wait(ctx context.Context) (*Load, error) {
	s.mu.Lock()
	loads := s.loads
	s.mu.Unlock()
	select {
	case l := <-loads:
		return l, nil
	case <-ctx.Done():
		s.mu.Lock()
		defer s.mu.Unlock()
		return nil, fmt.Errorf("no report from the browser, which asked for %d of %d: %w", len(s.asked), len(s.files), context.Cause(ctx))
	}
}

// Faults says what was not asked for exactly once since Begin, and what was asked
// for and does not exist.
func (s *Site) Faults() (faults []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(s.files)) {
		if n := s.asked[name]; n != 1 {
			faults = append(faults, fmt.Sprintf("%s was asked for %d times", name, n))
		}
	}
	return append(faults, s.stranger...)
}

// ServeHTTP serves the page, its resources, and the report.
func (s *Site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	host := strings.ToLower(r.Host)
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	name := host + r.URL.Path
	if r.Method == http.MethodPost && name == hostNames[0]+"/report" {
		s.report(w, r)
		return
	}
	f, ok := s.files[name]
	s.mu.Lock()
	if ok && r.Method == http.MethodGet {
		s.asked[name]++
	} else if len(s.stranger) < Count {
		s.stranger = append(s.stranger, r.Method+" "+name+" was asked for")
	}
	s.mu.Unlock()
	if !ok {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", f.Type)
	h.Set("Content-Length", strconv.Itoa(len(f.Body)))
	h.Set("Cache-Control", "max-age=3600")
	// Without these a browser keeps the times of other hosts, and their fonts, to itself.
	h.Set("Timing-Allow-Origin", "*")
	h.Set("Access-Control-Allow-Origin", "*")
	w.Write(f.Body)
}

func (s *Site) report(w http.ResponseWriter, r *http.Request) {
	l := &Load{}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxReport)).Decode(l); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case s.loads <- l:
	default: // reported twice; the first counts
	}
	w.WriteHeader(http.StatusNoContent)
}
