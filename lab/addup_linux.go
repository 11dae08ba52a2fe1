package lab

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// What is promised, in percent of what the lines carry, or of the best link alone.
const (
	equalShare = 95
	tripleRTT  = 92
	farShare   = 85
	lossyShare = 88
	floorShare = 97
)

// A linesCase is how a download over several links is measured.
type linesCase struct {
	sum      *Target // of the share of the sum; nil where the floor is the target
	throttle string  // the link that is throttled mid-way
}

const (
	throttledMbit = 0.5
	throttledAt   = 6 * time.Second
)

// lineScenarios are those about the rate of downloads over links that differ.
func lineScenarios() []Scenario {
	const ms = time.Millisecond
	bloated, lossy, some := Line(5, 1, 60*ms), Line(50, 10, 30*ms), DSL()
	bloated.Up.Queue, bloated.Down.Queue = 2*time.Second, 2*time.Second
	lossy.Down.Loss = 0.05
	some.Down.Loss = 0.01
	one := func(name, about string, c linesCase, first, second LinkConfig) Scenario {
		return Scenario{
			Name: name, Takes: 80 * time.Second, length: 15 * time.Second, times: 5, About: about,
			config: Config{Links: []LinkConfig{first, second}}, run: c.run,
		}
	}
	sum := func(percent float64) linesCase { return linesCase{sum: atLeast(percent)} }
	return []Scenario{
		one("sum-equal", "a download over two links with the same round trip, beside a plain pair", sum(equalShare),
			LinkConfig{"dsl", Line(30, 10, 40*ms)}, LinkConfig{"cable", Line(30, 10, 40*ms)}),
		one("sum-triple", "a download over links of which one has three times the round trip, beside a plain pair", sum(tripleRTT),
			LinkConfig{"dsl", Line(30, 10, 30*ms)}, LinkConfig{"lte", Line(30, 10, 90*ms)}),
		one("sum-far", "a download over links with round trips of 20 and 300 ms, beside a plain pair", sum(farShare),
			LinkConfig{"dsl", Line(20, 10, 20*ms)}, LinkConfig{"far", Line(30, 10, 300*ms)}),
		one("sum-loss", "a download while the faster link loses 1 % of the packets, beside a plain pair", sum(lossyShare),
			LinkConfig{"dsl", some}, LinkConfig{"lte", LTE()}),
		one("floor-tiny", "a download over 100 Mbit/s and 1 Mbit/s: not slower than over the first alone", linesCase{},
			LinkConfig{"fibre", Line(100, 20, 20*ms)}, LinkConfig{"adsl", Line(1, 1, 60*ms)}),
		one("floor-bloat", "a download over a good link and one with a queue of 2 s: not slower than over the first alone", linesCase{},
			LinkConfig{"dsl", DSL()}, LinkConfig{"lte", bloated}),
		one("floor-loss", "a download over a clean link and one that loses 5 %: not slower than over the first alone", linesCase{},
			LinkConfig{"cable", Line(50, 10, 30*ms)}, LinkConfig{"radio", lossy}),
		one("floor-throttled", "a download during which one link is throttled to 0.5 Mbit/s: not slower than over the other alone",
			linesCase{throttle: "lte"}, LinkConfig{"dsl", DSL()}, LinkConfig{"lte", LTE()}),
		one("floor-far", "a download over links with round trips of 20 and 600 ms: not slower than over the first alone", linesCase{},
			LinkConfig{"dsl", Line(30, 10, 20*ms)}, LinkConfig{"sky", Line(20, 5, 600*ms)}),
	}
}

// run measures each link alone, then the plain pair, then ours, one after the other.
func (c linesCase) run(ctx context.Context, t *trial) error {
	plain, err := t.beside(ctx)
	if err != nil {
		return err
	}
	// What a link can do alone is asked of a sender that fills it. Where the kernel does
	// not have that, the figures say so.
	if err := t.Network.Host("server").Sysctl("net.ipv4.tcp_congestion_control", "bbr"); err != nil {
		t.notMeasured("each link alone with bbr", err.Error())
	}
	lines, err := t.alone(ctx)
	if err != nil {
		return err
	}
	var short [len(shortSizes)]float64
	if c.shortToo() {
		if short, err = t.shortTimes(ctx, lines.best, t.home(lines.best), ""); err != nil {
			return err
		}
	}
	var theirs Result
	for _, p := range []*trial{plain, t} {
		name := "ours"
		if p == plain {
			name = "plain pair"
		}
		if err := p.begin(ctx); err != nil {
			return err
		}
		if c.shortToo() {
			through, err := p.shortTimes(ctx, name, p.home(""), p.Proxy("socks5"))
			if err != nil {
				return err
			}
			t.compareShort(name, lines.best, through, short, p == t)
		}
		r, busy, err := c.download(ctx, p, name)
		if err != nil {
			return err
		}
		c.judge(t, name, r, lines, p == t)
		t.figure(name+": processors in use", busy, "%", nil)
		if p == plain {
			theirs = r
			continue
		}
		t.check("every byte is right", r.SHA256 == Sum(r.Bytes), "")
		if c.throttle != "" {
			t.Courses = append(t.Courses, c.course(r, theirs))
		}
	}
	return nil
}

// course is how both downloads went while a link was throttled.
func (c linesCase) course(ours, theirs Result) Course {
	name := strings.ToUpper(c.throttle)
	about := fmt.Sprintf("Rate of a download over both links, while %s carries no more than %.1f Mbit/s from %.0f s on.", name, throttledMbit, throttledAt.Seconds())
	return newCourse(name+" is throttled", about, ours, theirs, throttledAt)
}

// shortToo reports whether short transfers are measured, which a link that harms
// harms most.
func (c linesCase) shortToo() bool { return c.sum == nil && c.throttle == "" }

// alone measures each link, with plain TCP.
func (t *trial) alone(ctx context.Context) (lines ledgerOfLines, err error) {
	for _, name := range t.Network.Links() {
		t.step(t.length, "%s alone, plain TCP", name)
		r, err := Download(ctx, Transfer{Dialer: t.home(name), URL: endless, For: t.length})
		if err != nil {
			return lines, err
		}
		t.figure(name+" alone, plain TCP", r.fastMbit(), "Mbit/s", nil)
		lines.add(name, t.Network.Link(name).Shape().Down, r.fastMbit(), r.worstMbit())
	}
	t.figure("what the lines carry of payload", lines.sumMbit, "Mbit/s", nil)
	return lines, nil
}

// download does the long transfer, and returns how busy this machine was.
func (c linesCase) download(ctx context.Context, p *trial, name string) (r Result, busy float64, err error) {
	p.step(p.length, "%s, full rate", name)
	if c.throttle != "" {
		l := p.Network.Link(c.throttle)
		was := l.Shape()
		defer l.Set(was)
		slow := was
		slow.Up.RateMbit, slow.Down.RateMbit = throttledMbit, throttledMbit
		timer := time.AfterFunc(throttledAt, func() { l.Set(slow) })
		defer timer.Stop()
	}
	before, err := readProcessors()
	if err != nil {
		return r, 0, err
	}
	if r, err = Download(ctx, p.through(endless, p.length)); err != nil {
		return r, 0, fmt.Errorf("%s: %w", name, err)
	}
	after, err := readProcessors()
	return r, after.busySince(before), err
}

// judge enters what a long transfer reached. The targets are for ours.
func (c linesCase) judge(t *trial, name string, r Result, lines ledgerOfLines, ours bool) {
	floor, sum := atLeast(floorShare), c.sum
	if !ours || c.sum != nil {
		floor = nil
	}
	if !ours {
		sum = nil
	}
	t.figure(name, r.fastMbit(), "Mbit/s", nil)
	t.figure(name+", the first 2 s", r.MbitBetween(0, settled), "Mbit/s", nil)
	if c.throttle == "" {
		t.figure(name+": of the sum", 100*r.fastMbit()/lines.sumMbit, "%", sum)
	}
	t.figure(fmt.Sprintf("%s: of %s alone", name, lines.best), 100*r.fastMbit()/lines.bestMbit, "%", floor)
	if c.sum == nil {
		t.figure(fmt.Sprintf("%s: worst 5 s, of the worst 5 s of %s alone", name, lines.best), 100*r.worstMbit()/lines.bestWorst, "%", floor)
	}
	t.figure(name+": longest gap", ms(r.LongestGap), "ms", nil)
}

// shortSizes are those of transfers that are over before the kernel knows its paths.
var shortSizes = [...]int64{100_000, 1_000_000}

// shortTimes are the medians of how long small answers take, each from the request on,
// in ms.
func (t *trial) shortTimes(ctx context.Context, name string, d Dialer, proxy string) (medians [len(shortSizes)]float64, err error) {
	t.step(time.Duration(t.times)*2*time.Second, "%s, short transfers", name)
	for i, size := range shortSizes {
		var all []float64
		for range t.times {
			if proxy != "" {
				if err := t.Warm(ctx); err != nil {
					return medians, err
				}
			}
			r, err := Download(ctx, Transfer{Dialer: d, URL: bytesURL(size), Proxy: proxy})
			if err == nil && r.SHA256 != Sum(size) {
				err = errors.New("its content is not what was sent")
			}
			if err != nil {
				return medians, fmt.Errorf("%s, %d bytes: %w", name, size, err)
			}
			all = append(all, ms(r.FirstByte+r.Elapsed))
		}
		slices.Sort(all)
		medians[i] = all[len(all)/2]
	}
	return medians, nil
}

// compareShort enters the times of short transfers.
func (t *trial) compareShort(name, best string, through, alone [len(shortSizes)]float64, ours bool) {
	for i, size := range shortSizes {
		var target *Target
		if ours {
			target = atMost(100)
		}
		t.figure(fmt.Sprintf("%s: %d kB, of the time over %s alone", name, size/1000, best), 100*through[i]/alone[i], "%", target)
		t.figure(fmt.Sprintf("%s: %d kB", name, size/1000), through[i], "ms", nil)
	}
}
