//go:build linux

package lab

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// realBinary is the real program, which TestMain builds.
var realBinary string

func TestMain(m *testing.M) {
	os.Exit(buildAndRun(m))
}

func buildAndRun(m *testing.M) int {
	if Ready() != nil {
		return m.Run() // each test says what is missing
	}
	dir, err := os.MkdirTemp("", "tributary-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	realBinary = filepath.Join(dir, "tributary")
	build := exec.Command("go", "build", "-o", realBinary, "../cmd/tributary")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "build the program to drive:", err)
		return 1
	}
	return m.Run()
}

// runScenario fails the test for a broken function; missed targets are logged.
func runScenario(t *testing.T, s Scenario) *Report {
	t.Helper()
	needLab(t)
	var log strings.Builder
	r := s.Run(context.Background(), Options{Binary: realBinary, Log: &log})
	r.Print(t.Output())
	if !r.Works {
		t.Logf("log of relay and gateway:\n%s", log.String())
		t.Error("broken")
	}
	return r
}

// Rates and gaps are measured one after the other.
func TestMeasuredScenarios(t *testing.T) {
	if testing.Short() {
		t.Skip("measures rates, which takes minutes")
	}
	t.Run("demo", func(t *testing.T) {
		needLab(t)
		var log strings.Builder
		d, err := runDemo(context.Background(), Options{Binary: realBinary, Log: &log},
			demoLengths{3 * time.Second, 3 * time.Second, 1500 * time.Millisecond, 28e6})
		if err != nil {
			t.Fatal(err)
		}
		d.Print(t.Output())
		if !d.Works {
			t.Logf("log of relay and gateway:\n%s", log.String())
			t.Error("broken")
		}
	})
	// The demo covers what link-down and upload do.
	for _, name := range []string{"steady", "silent-loss", "many", "fast-open"} {
		t.Run(name, func(t *testing.T) {
			s, _ := ByName(name)
			s.length, s.times = 3*time.Second, 1
			runScenario(t, s)
		})
	}
}

// These wait more than they work.
func TestFaultScenarios(t *testing.T) {
	long := map[string]bool{"errors": true, "stripped-options": true, "idle": true}
	for _, name := range []string{"relay-restart", "no-mptcp", "gateway-crash", "errors", "stripped-options", "idle"} {
		t.Run(name, func(t *testing.T) {
			if testing.Short() && long[name] {
				t.Skip("takes half a minute")
			}
			t.Parallel()
			s, _ := ByName(name)
			if s.length > 0 {
				s.length = 5 * time.Second
			}
			runScenario(t, s)
		})
	}
}

func TestNamesOfScenarios(t *testing.T) {
	seen := make(map[string]bool)
	for _, s := range Scenarios() {
		got, ok := ByName(s.Name)
		if !ok || got.Name != s.Name || seen[s.Name] || s.About == "" || s.Takes <= 0 {
			t.Errorf("scenario %q is incomplete or there twice", s.Name)
		}
		seen[s.Name] = true
	}
	if _, ok := ByName("no such"); ok {
		t.Error("found a scenario that does not exist")
	}
}

// What a program cannot start with is the scenario's error, and nothing hangs.
func TestScenarioWithoutProgram(t *testing.T) {
	needLab(t)
	s, _ := ByName("steady")
	r := s.Run(context.Background(), Options{Binary: "/bin/false"})
	if r.Works || !strings.Contains(r.Error, "tributary relay ended") {
		t.Errorf("works %v, error %q", r.Works, r.Error)
	}
}

func TestScenarioIsInterrupted(t *testing.T) {
	needLab(t)
	ctx, cancel := context.WithCancel(context.Background())
	s, _ := ByName("idle")
	began := time.Now()
	r := s.Run(ctx, Options{Binary: realBinary, Progress: func(step Step) {
		if strings.HasPrefix(step.Doing, "nobody") {
			cancel()
		}
	}})
	if r.Works || r.Error == "" || time.Since(began) > 20*time.Second {
		t.Errorf("works %v, error %q after %v", r.Works, r.Error, time.Since(began))
	}
}

func TestKernelStateSeesChanges(t *testing.T) {
	n := newNetwork(t, Config{})
	home := n.Host("home")
	before, err := home.kernelState()
	if err != nil {
		t.Fatal(err)
	}
	if err := home.Sysctl("net.mptcp.checksum_enabled", "1"); err != nil {
		t.Fatal(err)
	}
	if err := n.Link("lte").Down(); err != nil {
		t.Fatal(err)
	}
	after, err := home.kernelState()
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Join(difference(before, after), "\n")
	for _, want := range []string{"- net.mptcp.checksum_enabled = 0", "+ net.mptcp.checksum_enabled = 1", "- route 2 "} {
		if !strings.Contains(all, want) {
			t.Errorf("no %q in\n%s", want, all)
		}
	}
}

// Without a peer the relay's own rate is there, and the report says what is missing.
func TestRate(t *testing.T) {
	if testing.Short() {
		t.Skip("takes ten seconds")
	}
	for _, path := range []string{os.Getenv("PATH"), t.TempDir()} {
		t.Setenv("PATH", path)
		s, _ := ByName("rate")
		s.length = 100 * time.Millisecond
		r := runScenario(t, s)
		_, _, err := findPeer()
		var compared bool
		for _, f := range r.Figures {
			compared = compared || f.Target != nil
		}
		if compared != (err == nil) || compared != (len(r.NotMeasured) == 0) {
			t.Errorf("peer: %v, compared: %v, not measured: %q", err, compared, r.NotMeasured)
		}
	}
}

// A short run of the scenario "setup" has every point, ladder and picture.
func TestSetup(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	s, _ := ByName("setup")
	s.run = func(ctx context.Context, t *trial) error {
		return setupWith(ctx, t, setupLengths{
			rtts: []time.Duration{10 * time.Millisecond, 40 * time.Millisecond}, count: 3, reference: 3,
			sizes: []int64{1e3, 100e3}, sizeCount: 3, large: 1e6, largeCount: 3,
			opens: 10, within: 500 * time.Millisecond, rest: time.Second, burstBytes: "20k",
		})
	}
	r := runScenario(t, s)
	if r.Setup == nil {
		t.Fatal("no setup times")
	}
	ways, bursts := 4, 3
	if r.Setup.Peer != "" {
		ways, bursts = 5, 5
	}
	if len(r.Setup.Curve) != 2*len(r.Setup.Ways) || len(r.Setup.Sizes) != 2*ways || len(r.Setup.Burst) != bursts {
		t.Fatalf("%+v", r.Setup)
	}
	for _, name := range []string{LadderSOCKS5, LadderWarm} {
		if l := r.Setup.Ladders[name]; len(l.Arrows) < 8 {
			t.Errorf("%s: %+v", name, l)
		}
	}
	for name, svg := range r.Setup.Figures() {
		if !strings.HasPrefix(string(svg), "<svg") {
			t.Errorf("%s is no picture", name)
		}
	}
	var page strings.Builder
	r.Setup.WriteCurve(&page)
	r.Setup.WriteSizes(&page)
	r.Setup.WriteBursts(&page)
	if n := strings.Count(page.String(), "\n"); n != 4+4+2+bursts {
		t.Errorf("%d lines of tables:\n%s", n, page.String())
	}
}
