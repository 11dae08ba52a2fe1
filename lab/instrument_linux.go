package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// An instrument's report, as far as the lab looks at it.
type (
	throughputReport struct {
		Directions []struct {
			Name         string  `json:"direction"`
			TogetherMbit float64 `json:"together_mbit"`
			BundleMbit   float64 `json:"bundle_mbit"`
		}
		Verdict []string
	}
	handoverReport struct {
		Losses []struct {
			Link  string
			AtMs  float64 `json:"at_ms"`
			GapMs float64 `json:"gap_ms"`
		}
		Verdict []string
	}
)

// instrument runs what users run to measure their links, and holds it against what
// the links are known to carry.
func instrument(ctx context.Context, t *trial) error {
	if err := t.begin(ctx); err != nil {
		return err
	}
	t.step(75*time.Second, "measure throughput")
	var rates throughputReport
	if err := t.tool(ctx, &rates, "throughput", "--time", "7s"); err != nil {
		return err
	}
	for _, d := range rates.Directions {
		var known float64
		for _, l := range t.Network.Links() {
			s := t.Network.Link(l).Shape()
			known += map[string]float64{"down": s.Down.RateMbit, "up": s.Up.RateMbit}[d.Name]
		}
		t.figure(d.Name+", all links at the same time", d.TogetherMbit, "Mbit/s", nil)
		t.figure(d.Name+", the bundle", d.BundleMbit, "Mbit/s", nil)
		t.check(d.Name+": all at once carry what the links have", d.TogetherMbit > 0.85*known && d.TogetherMbit < known, "%.1f of %.1f Mbit/s", d.TogetherMbit, known)
		t.check(d.Name+": the bundle carries most of that", d.BundleMbit > 0.75*d.TogetherMbit, "%.1f of %.1f Mbit/s", d.BundleMbit, d.TogetherMbit)
	}
	t.check("there is a verdict on each direction", len(rates.Directions) == 2 && len(rates.Verdict) >= 2, "%s", strings.Join(rates.Verdict, " "))
	if _, err := exec.LookPath("nft"); err != nil {
		t.notMeasured("a handover with --cut", "nft is not installed")
		return nil
	}
	t.step(17*time.Second, "measure handover")
	var lost handoverReport
	if err := t.tool(ctx, &lost, "handover", "--rate", "1M", "--time", "15s", "--cut", "dsl"); err != nil {
		return err
	}
	if t.check("the cut is found and named", len(lost.Losses) == 1 && lost.Losses[0].Link == "dsl", "%s", strings.Join(lost.Verdict, " ")) {
		t.figure("1 Mbit/s, dsl cut off: longest gap", lost.Losses[0].GapMs, "ms", nil)
	}
	return t.uncut(ctx)
}

// tool runs "tributary measure" beside the gateway and reads its report.
func (t *trial) tool(ctx context.Context, report any, args ...string) error {
	binary, err := t.program()
	if err != nil {
		return err
	}
	args = append(append([]string{"measure"}, args...), "--json", "--state", filepath.Join(t.Dir, "gateway"),
		"--socks", fmt.Sprintf("127.0.0.1:%d", ProxyPort), "--api", fmt.Sprintf("127.0.0.1:%d", APIPort))
	cmd := t.Network.Host("home").Command(ctx, binary, args...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("tributary measure %s: %w: %s", args[1], err, bytes.TrimSpace(errs.Bytes()))
	}
	return json.Unmarshal(out, report)
}

// uncut checks that a cut has left nothing behind.
func (t *trial) uncut(ctx context.Context) error {
	out, err := t.Network.Host("home").Command(ctx, "nft", "list", "tables").CombinedOutput()
	t.check("the cut has left no table behind", err == nil && len(out) == 0, "%s", out)
	return ctx.Err()
}
