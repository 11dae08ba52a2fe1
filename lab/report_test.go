package lab

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
)

func TestReport(t *testing.T) {
	r := &Report{Scenario: "rain", About: "it rains"}
	r.figure("depth", 12.34, "mm", atMost(10))
	r.figure("a rate", 45, "Mbit/s", atLeast(45))
	r.figure("other", 1234.5, "ms", nil)
	r.check("nobody drowned", true, "%d swam", 3)
	r.finish(time.Now(), nil)
	if !r.Works {
		t.Error("a missed target broke the run")
	}
	var b strings.Builder
	if err := r.Print(&b); err != nil {
		t.Fatal(err)
	}
	want := `rain: works (0 s)
  it rains
  depth       12.3 mm      ≤ 10  miss
  a rate        45 Mbit/s  ≥ 45  met
  other       1234 ms            
  ok  nobody drowned  3 swam
`
	if got := b.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	j, err := json.Marshal(r.Figures)
	if err != nil {
		t.Fatal(err)
	}
	const wantJSON = `[{"name":"depth","value":12.34,"unit":"mm","target":{"at_most":10},"met":false},` +
		`{"name":"a rate","value":45,"unit":"Mbit/s","target":{"at_least":45},"met":true},{"name":"other","value":1234.5,"unit":"ms"}]`
	if string(j) != wantJSON {
		t.Errorf("got %s\nwant %s", j, wantJSON)
	}
}

func TestBrokenReports(t *testing.T) {
	failed := &Report{}
	failed.check("a", true, "")
	failed.check("b", false, "")
	failed.finish(time.Now(), nil)
	ended := &Report{}
	ended.finish(time.Now(), errors.New("flood"))
	if failed.Works || ended.Works || ended.Error != "flood" {
		t.Errorf("%+v, %+v", failed, ended)
	}
}

func TestDemoVerdict(t *testing.T) {
	d := &Demo{
		Links:  []DemoLink{{Name: "dsl", Pull: Pull{GapMs: 300, Complete: true}}, {Name: "lte", Pull: Pull{GapMs: 420, Complete: true}}},
		Down:   Bundle{Mbit: 45, Sum: 47.5, Share: 45 / 47.5, Best: 28.5},
		Checks: []Check{{Name: "it runs", OK: true}}, Works: true,
	}
	var b strings.Builder
	if err := d.Print(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"It works: one download ran at 95 %", "1.6 times", "0.4 s at most"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
	d.Checks[0].OK, d.Works, d.Links[1].Pull.Complete = false, false, false
	b.Reset()
	d.Print(&b)
	for _, want := range []string{"It does not work", "it runs", "DOWNLOAD BROKE"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}
