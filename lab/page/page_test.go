package page

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"image/png"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

func TestPageIsAsDescribed(t *testing.T) {
	p := New()
	if len(p.Resources) != Count {
		t.Errorf("%d resources, want %d", len(p.Resources), Count)
	}
	hosts, paths := map[string]bool{}, map[string]bool{}
	var sizes []int
	depth := map[int]int{}
	total := 0
	for _, r := range p.Resources {
		hosts[r.Host], paths[r.URL()] = true, true
		sizes = append(sizes, len(r.Body))
		total += len(r.Body)
		depth[r.Depth]++
	}
	slices.Sort(sizes)
	if len(hosts) != len(Hosts()) || len(paths) != Count {
		t.Errorf("%d hosts, want %d; %d different paths, want %d", len(hosts), len(Hosts()), len(paths), Count)
	}
	if m := sizes[Count/2]; m < 10_000 || m > 14_000 || total < 1e6 || total > 2e6 {
		t.Errorf("median %d, total %d", m, total)
	}
	if depth[1] != sheets+scripts+images || depth[2] != sheetFonts+sheetImages+moreScripts+scriptImages {
		t.Errorf("depths %v", depth)
	}
	if p.Bytes() != total+len(p.HTML) {
		t.Errorf("%d bytes, want %d", p.Bytes(), total+len(p.HTML))
	}
	again := New()
	if !bytes.Equal(p.HTML, again.HTML) || !bytes.Equal(p.Resources[7].Body, again.Resources[7].Body) {
		t.Error("the page differs from call to call")
	}
}

// Whatever exists is named exactly once, where a browser can find it.
func TestEverythingIsNamedOnce(t *testing.T) {
	p := New()
	for _, r := range p.Resources {
		n := bytes.Count(p.HTML, []byte(r.URL()))
		if r.Depth == 2 {
			n = 0
			for _, by := range p.Resources {
				if by.Type == "text/css" || by.Type == "text/javascript" {
					n += bytes.Count(by.Body, []byte(r.URL()))
				}
			}
		}
		if n != 1 {
			t.Errorf("%s is named %d times", r.URL(), n)
		}
	}
}

func TestImagesAreImages(t *testing.T) {
	for _, r := range New().Resources {
		if r.Type != "image/png" {
			continue
		}
		if _, err := png.Decode(bytes.NewReader(r.Body)); err != nil {
			t.Errorf("%s: %v", r.URL(), err)
		}
	}
}

// ask is a request as a browser makes it.
func ask(s *Site, method, url, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest(method, url, strings.NewReader(body)))
	return w
}

func TestSiteKeepsBooks(t *testing.T) {
	p := New()
	s := NewSite(p)
	if n := len(s.Faults()); n != Count+2 {
		t.Errorf("%d faults before any request, want %d", n, Count+2)
	}
	visit := func() {
		ask(s, "GET", "http://"+StartHost+"/", "")
		ask(s, "GET", "http://"+Hosts()[0]+":80/", "")
		for _, r := range p.Resources {
			w := ask(s, "GET", "http:"+r.URL(), "")
			if !bytes.Equal(w.Body.Bytes(), r.Body) || w.Header().Get("Content-Type") != r.Type || w.Header().Get("Timing-Allow-Origin") != "*" {
				t.Fatalf("%s: %v", r.URL(), w.Header())
			}
		}
	}
	visit()
	if f := s.Faults(); len(f) != 0 {
		t.Errorf("faults after a whole visit: %v", f)
	}
	if w := ask(s, "GET", "http://www.news.lab/favicon.ico", ""); w.Code != http.StatusNotFound {
		t.Errorf("answer %d to what does not exist", w.Code)
	}
	ask(s, "GET", "http:"+p.Resources[3].URL(), "")
	if f := s.Faults(); len(f) != 2 {
		t.Errorf("want two faults: %v", f)
	}
	s.Begin()
	visit()
	if f := s.Faults(); len(f) != 0 {
		t.Errorf("faults after another beginning: %v", f)
	}
}

// whole is a load as a browser would report it.
func whole(p *Page) *Load {
	entry := func(name string, size, status int) Entry {
		return Entry{Name: name, Start: 1, LookupStart: 2, LookupEnd: 12, ConnectStart: 12, ConnectEnd: 32, RequestStart: 33,
			ResponseStart: 53, ResponseEnd: 60, Status: status, DecodedBodySize: size}
	}
	l := &Load{Navigation: entry("https://"+Hosts()[0]+"/", len(p.HTML), 200), Paint: []Entry{{Name: "first-contentful-paint", Start: 70}}}
	l.Navigation.LoadEventEnd = 100
	for _, r := range p.Resources {
		l.Resources = append(l.Resources, entry("https:"+r.URL(), len(r.Body), 0))
	}
	return l
}

func TestLoadTellsItsFaults(t *testing.T) {
	p := New()
	if f := whole(p).Faults(p, "https"); len(f) != 0 {
		t.Errorf("faults of a whole load: %v", f)
	}
	for want, spoil := range map[string]func(*Load){
		"did not load":            func(l *Load) { l.Resources = l.Resources[1:] },
		"loaded https://else.lab": func(l *Load) { l.Resources = append(l.Resources, Entry{Name: "https://else.lab/x"}) },
		"status 404":              func(l *Load) { l.Resources[5].Status = 404 },
		"bytes":                   func(l *Load) { l.Resources[5].DecodedBodySize-- },
		"without times":           func(l *Load) { l.Resources[5].ResponseStart = 0 },
		"failed: x":               func(l *Load) { l.Failed = []string{"x"} },
		"no load event":           func(l *Load) { l.Navigation.LoadEventEnd = 0 },
		"nothing was painted":     func(l *Load) { l.Paint = nil },
	} {
		l := whole(p)
		spoil(l)
		if f := l.Faults(p, "https"); len(f) != 1 || !strings.Contains(f[0], want) {
			t.Errorf("want a fault with %q, have %v", want, f)
		}
	}
	if f := whole(p).Faults(p, "http"); len(f) != 2*(Count+1) {
		t.Errorf("%d faults of a load by another scheme", len(f))
	}
}

func TestTimesOfAnEntry(t *testing.T) {
	e := whole(New()).Resources[0]
	if e.Waited() != 2 || e.Lookup() != 10 || e.Connect() != 20 || e.FirstByte() != 20 || e.Body() != 7 {
		t.Errorf("waited %v, lookup %v, connect %v, first byte %v, body %v", e.Waited(), e.Lookup(), e.Connect(), e.FirstByte(), e.Body())
	}
}

func TestReport(t *testing.T) {
	p := New()
	s := NewSite(p)
	b, err := json.Marshal(whole(p))
	if err != nil {
		t.Fatal(err)
	}
	const url = "https://www.news.lab/report"
	for _, bad := range []string{"", "{", `{"navigation":7}`} {
		if w := ask(s, "POST", url, bad); w.Code != http.StatusBadRequest {
			t.Errorf("report %q: answer %d", bad, w.Code)
		}
	}
	for range 2 { // the second is for nobody
		if w := ask(s, "POST", url, string(b)); w.Code != http.StatusNoContent {
			t.Errorf("answer %d", w.Code)
		}
	}
	l, err := s.Wait(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if f := l.Faults(p, "https"); len(f) != 0 || l.LoadTime() != 100 || len(l.All()) != Count+1 {
		t.Errorf("load %v, %d entries, faults %v", l.LoadTime(), len(l.All()), f)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(io.ErrNoProgress)
	if _, err := s.Wait(ctx); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("waited for nothing: %v", err)
	}
}

func FuzzReport(f *testing.F) {
	p := New()
	b, err := json.Marshal(whole(p))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"resources":[{"name":"%zz"}]}`))
	s := NewSite(p)
	f.Fuzz(func(t *testing.T, b []byte) {
		s.Begin()
		if ask(s, "POST", "http://www.news.lab/report", string(b)).Code != http.StatusNoContent {
			return
		}
		l, err := s.Wait(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		l.Faults(p, "http")
	})
}
