//go:build linux

package lab

import (
	"context"
	"net"
	"os"
	"slices"
	"strings"
	"testing"

	"tributary/lab/page"
)

// One load each way: that the page comes whole and its times are told, not how long
// it takes.
func TestBrowser(t *testing.T) {
	needLab(t)
	if _, err := findBrowser(); err != nil {
		if slices.Contains(strings.Split(os.Getenv("TRIBUTARY_REQUIRE"), ","), "interop") {
			t.Fatalf("TRIBUTARY_REQUIRE names interop, but %v", err)
		}
		t.Skip(err)
	}
	schemes := []string{"https", "http"}
	if testing.Short() {
		schemes = schemes[:1]
	}
	s, _ := ByName("browser")
	s.run = func(ctx context.Context, t *trial) error {
		return browseWith(ctx, t, schemes, []string{WayDirect, WayNext, WayNextKnown}, 1)
	}
	r := runScenario(t, s)
	if r.Browser == nil {
		t.Fatal("no loads")
	}
	if len(r.Browser.Ways) != 3*len(schemes) {
		t.Errorf("%d ways by %d schemes, want three each", len(r.Browser.Ways), len(schemes))
	}
	for _, w := range r.Browser.Ways {
		if w.Loads != 1 || w.Load.Median <= 0 || w.Connections < float64(len(page.Hosts())) {
			t.Errorf("%s, %s: %d loads, %v connections", w.Scheme, w.Way, w.Loads, w.Connections)
		}
	}
	if w, _ := r.Browser.way(drawnScheme, WayNext); w.Middle == nil || len(w.Middle.Rows) != 1+page.Count {
		t.Error("no course of a load, or not all of it")
	}
	if svg := r.Browser.Figures()["browser.svg"]; !strings.Contains(string(svg), WayNext+": ") {
		t.Errorf("the picture lacks a way: %.200s", svg)
	}
	var text strings.Builder
	r.Browser.WriteSection(&text)
	if !strings.Contains(text.String(), "| HTTPS (HTTP/2), "+WayDirect+" | 1 |") {
		t.Errorf("no row of the table in\n%s", text.String())
	}
}

// Home asks its provider's resolver, one R away, and the relay the final server's.
func TestSites(t *testing.T) {
	n := newNetwork(t, Config{Sites: []string{"a.lab", "b.lab"}})
	ctx := testContext(t)
	if got := n.Addrs("b.lab"); len(got) != 1 || got[0] != siteAddr(1).Addr() {
		t.Fatalf("addresses of the second site: %v", got)
	}
	for _, host := range []struct {
		name, file string
		names      *nameServer
	}{
		{"home", "nameserver 11.1.0.1\n", n.resolver},
		{"relay", "nameserver 11.200.0.2\n", n.server.names},
	} {
		h := n.Host(host.name)
		if out, err := h.Command(ctx, "cat", "/etc/resolv.conf").Output(); err != nil || string(out) != host.file {
			t.Errorf("%s: resolv.conf %q, %v", host.name, out, err)
		}
		r := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return h.DialContext(ctx, network, strings.TrimSpace(strings.TrimPrefix(host.file, "nameserver "))+":53")
		}}
		if got, err := r.LookupNetIP(ctx, "ip4", "b.lab."); err != nil || len(got) != 1 || got[0].Unmap() != siteAddr(1).Addr() {
			t.Errorf("%s: b.lab is %v, %v", host.name, got, err)
		}
		if asked := host.names.taken(); len(asked) != 1 || asked["b.lab"] == 0 {
			t.Errorf("%s: the name server was asked for %v", host.name, asked)
		}
		if asked := host.names.taken(); len(asked) != 0 {
			t.Errorf("%s: taken twice: %v", host.name, asked)
		}
	}
	// Somebody listens there when a page is served, nobody before.
	if c, err := n.Host("home").DialContext(ctx, "tcp4", "b.lab:80"); err == nil {
		c.Close()
		t.Error("a site without a server answers")
	}
}
