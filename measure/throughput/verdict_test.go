package throughput

import (
	"strings"
	"testing"
)

func link(name string, alone, together, in float64) LinkRate {
	return LinkRate{Name: name, Mode: "on", RTTms: 40, AloneMbit: alone, TogetherMbit: together, InBundleMbit: in}
}

// What is said is a function of the figures; each case is one that users have had.
func TestVerdict(t *testing.T) {
	with := func(l LinkRate, f func(*LinkRate)) LinkRate {
		f(&l)
		return l
	}
	slow := func(l *LinkRate) { l.RTTms = 600 }
	for _, c := range []struct {
		name string
		d    Direction
		want []string
	}{
		{"all is well", Direction{Links: []LinkRate{link("dsl", 28.6, 28.5, 27.8), link("lte", 19.2, 19.4, 18.3)}, TogetherMbit: 47.9, BundleMbit: 46.1},
			[]string{"the bundle carries 46.1 of 47.9 Mbit/s, 96 % of the links together and 1.6 times the best link (dsl, 28.6)."}},
		{"one line", Direction{Links: []LinkRate{link("dsl", 30, 18, 17), link("lte", 20, 12, 12)}, TogetherMbit: 30, BundleMbit: 29},
			[]string{"lte adds nothing to dsl: alone 20.0, but all at once 30.0 Mbit/s, and dsl alone carries 30.0. Do they share a line, a mast or a router, or is that all the relay's own line has?",
				"the bundle carries 29.0 of 30.0 Mbit/s, 97 % of the links together and 1.0 times the best link (dsl, 30.0)."}},
		{"they share something", Direction{Links: []LinkRate{link("dsl", 30, 29, 29), link("a", 20, 12, 12), link("b", 20, 12, 12)}, TogetherMbit: 53, BundleMbit: 52},
			[]string{"the links are not independent: all at once they carry 53.0 Mbit/s, and the sum of each alone is 70.0. a and b slow down when the others are busy: a line, a mast or a router that they share, or the relay's own line, is full.",
				"the bundle carries 52.0 of 53.0 Mbit/s, 98 % of the links together and 1.7 times the best link (dsl, 30.0)."}},
		{"a link harms", Direction{Links: []LinkRate{link("dsl", 28, 28, 9), with(link("lte", 20, 20, 3), slow)}, TogetherMbit: 48, BundleMbit: 12},
			[]string{"the bundle carries 12.0 Mbit/s, less than dsl alone with 28.0: lte harms it (round trip 600 ms). Try --link lte=backup."}},
		{"much is missing", Direction{Links: []LinkRate{link("dsl", 28, 28, 28), with(link("lte", 20, 20, 6), slow)}, TogetherMbit: 48, BundleMbit: 34},
			[]string{"the bundle carries 34.0 of 48.0 Mbit/s, 71 % of the links together and 1.2 times the best link (dsl, 28.0). Most is missing on lte: 6.00 of 20.0 (round trip 600 ms)."}},
		{"set aside", Direction{Links: []LinkRate{link("dsl", 28, 28, 28), with(link("lte", 1, 1, 0), func(l *LinkRate) { l.Role, l.RoleWhy = "out", "it would cost more than it brings" })}, TogetherMbit: 29, BundleMbit: 27.5},
			[]string{"one link takes part, dsl: the bundle carries 27.5 of its 28.0 Mbit/s.", "the gateway keeps lte out of the bundle: it would cost more than it brings."}},
		{"a backup", Direction{Links: []LinkRate{link("dsl", 28, 28, 28), with(link("lte", 20, 20, 0), func(l *LinkRate) { l.Mode = "backup" })}, TogetherMbit: 48, BundleMbit: 27.5},
			[]string{"one link takes part, dsl: the bundle carries 27.5 of its 28.0 Mbit/s.", "lte is in mode backup and was no part of the bundle."}},
		{"a link that fails", Direction{Links: []LinkRate{link("dsl", 28, 0, 28), {Name: "lte", Mode: "on", Error: "dial: no route"}}, BundleMbit: 27.5},
			[]string{"nothing to go by on lte: dial: no route.", "one link takes part, dsl: the bundle carries 27.5 of its 28.0 Mbit/s."}},
		{"no join link", Direction{Links: []LinkRate{{Name: "dsl", Mode: "on"}}, BundleMbit: 27.5},
			[]string{"the bundle carries 27.5 Mbit/s; no link was measured to hold that against."}},
		{"the bundle fails", Direction{Links: []LinkRate{link("dsl", 28, 0, 0)}, BundleError: "reset"},
			[]string{"the bundle could not be measured: reset."}},
		{"no gateway", Direction{Links: []LinkRate{link("eth0", 28, 0, 0)}}, nil},
		{"others", Direction{Links: []LinkRate{link("dsl", 28, 0, 0)}, BundleMbit: 27, OthersMbit: 4},
			[]string{"one link takes part, dsl: the bundle carries 27.0 of its 28.0 Mbit/s.", "others used the links meanwhile, at 4.00 Mbit/s on average: what was measured is too low."}},
	} {
		if got := strings.Join(c.d.verdict(), "\n"); got != strings.Join(c.want, "\n") {
			t.Errorf("%s:\n%s\nwant\n%s", c.name, got, strings.Join(c.want, "\n"))
		}
	}
}

func TestReport(t *testing.T) {
	r := &Report{Seconds: 8, Notes: []string{"a note"}, Directions: []Direction{{Name: "down", Links: []LinkRate{link("dsl", 28.6, 28.5, 27.8), link("lte", 119.2, 9.4, 0)}, TogetherMbit: 47.9, BundleMbit: 46.1}}}
	r.judge()
	var b strings.Builder
	if err := r.Print(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"down, Mbit/s  mode    RTT  alone  all at once  in the bundle", "dsl    on  40 ms   28.6         28.5           27.8", "119         9.40              -", "\nDownload: ", "\nnote: a note\n"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
	if svg := string(r.SVG()); !strings.Contains(svg, "lte alone") || !strings.Contains(svg, "bundle") {
		t.Errorf("the picture lacks a bar: %s", svg)
	}
}
