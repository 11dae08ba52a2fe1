package lab

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// demoLengths are how long the parts of the demo take.
type demoLengths struct {
	down, up time.Duration // of each transfer
	away     time.Duration // a link stays away for so long, from then on
	bytes    int64         // of the download meanwhile
}

// fullDemo takes 70 s; 40 MB take 8 to 12 s.
func fullDemo() demoLengths {
	return demoLengths{8 * time.Second, 6 * time.Second, 2500 * time.Millisecond, 40e6}
}

// RunDemo does the main job in the reference network and measures it. What did
// not work is in the Checks; an error is the lab's own, or ctx's.
func RunDemo(ctx context.Context, o Options) (*Demo, error) { return runDemo(ctx, o, fullDemo()) }

func runDemo(ctx context.Context, o Options, lengths demoLengths) (d *Demo, err error) {
	began := time.Now()
	t, err := newTrial(ctx, Config{}, o)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, t.close()) }()
	run := &demoRun{trial: t, lengths: lengths, demo: &Demo{}}
	for _, name := range t.Network.Links() {
		run.demo.Links = append(run.demo.Links, DemoLink{Name: name, Shape: t.Network.Link(name).Shape()})
	}
	if err := runSteps(ctx, o, run.steps()); err != nil {
		return nil, err
	}
	d = run.demo
	run.judge()
	d.Seconds, d.Works = time.Since(began).Seconds(), allOK(d.Checks)
	return d, nil
}

// A labStep is one part of a run.
type labStep struct {
	doing string
	takes time.Duration
	do    func(context.Context) error
}

func runSteps(ctx context.Context, o Options, steps []labStep) error {
	var total, passed time.Duration
	for _, s := range steps {
		total += s.takes
	}
	for _, s := range steps {
		o.step(Step{s.doing, float64(passed) / float64(total), float64(passed+s.takes) / float64(total), s.takes})
		if err := s.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", s.doing, err)
		}
		passed += s.takes
	}
	return nil
}

type demoRun struct {
	*trial
	lengths demoLengths
	demo    *Demo
	seen    time.Time // the final server's connections since then are the relay's
	state   Status    // the last one
}

func (r *demoRun) steps() []labStep {
	steps := []labStep{{"start relay and gateway", time.Second, func(ctx context.Context) error {
		if err := r.Start(ctx); err != nil {
			return err
		}
		return r.Warm(ctx)
	}}}
	for i := range r.demo.Links {
		l := &r.demo.Links[i]
		steps = append(steps,
			labStep{"download over " + l.Name + " alone, plain TCP", r.lengths.down, func(ctx context.Context) error {
				return rate(&l.Down.AloneMbit, Download, ctx, Transfer{Dialer: r.home(l.Name), URL: endless, For: r.lengths.down})
			}},
			labStep{"upload over " + l.Name + " alone, plain TCP", r.lengths.up, func(ctx context.Context) error {
				return rate(&l.Up.AloneMbit, Upload, ctx, Transfer{Dialer: r.home(l.Name), URL: uploadURL, For: r.lengths.up})
			}})
	}
	steps = append(steps,
		labStep{"first byte, direct and through the gateway", 4 * time.Second, r.first},
		labStep{"download over the bundle", r.lengths.down, func(ctx context.Context) error {
			r.seen = time.Now()
			return r.bundle(ctx, &r.demo.Down, Download, r.through(endless, r.lengths.down), func(l *DemoLink, c LinkStatus) float64 {
				l.Down.BundleBytes = c.BytesDown
				return l.Down.AloneMbit
			})
		}},
		labStep{"upload over the bundle", r.lengths.up, func(ctx context.Context) error {
			return r.bundle(ctx, &r.demo.Up, Upload, r.through(uploadURL, r.lengths.up), func(l *DemoLink, c LinkStatus) float64 {
				l.Up.BundleBytes = c.BytesUp
				return l.Up.AloneMbit
			})
		}})
	for i := range r.demo.Links {
		l := &r.demo.Links[i]
		steps = append(steps, labStep{"pull " + l.Name + " during a download and put it back", 10 * time.Second, func(ctx context.Context) error {
			return r.pullOne(ctx, l)
		}})
	}
	return append(steps, labStep{"ask the final server what it saw", 0, r.look})
}

const uploadURL = "http://" + ServerName + "/upload"

// rate enters the rate of a transfer.
func rate(to *float64, do func(context.Context, Transfer) (Result, error), ctx context.Context, t Transfer) error {
	r, err := do(ctx, t)
	*to = r.Mbit()
	return err
}

func (r *demoRun) first(ctx context.Context) error {
	direct, err := r.firstByte(ctx, Transfer{Dialer: r.home("")}, 7)
	if err != nil {
		return err
	}
	gateway, err := r.firstByte(ctx, r.through("", 0), 7)
	r.demo.First = FirstByte{ms(direct), ms(gateway)}
	return err
}

// bundle measures one direction of the bundle. Enter is given each link's bytes and
// returns its own rate.
func (r *demoRun) bundle(ctx context.Context, b *Bundle, do func(context.Context, Transfer) (Result, error), t Transfer, enter func(*DemoLink, LinkStatus) float64) error {
	if err := r.Warm(ctx); err != nil {
		return err
	}
	before, err := r.Status(ctx)
	if err != nil {
		return err
	}
	if err := rate(&b.Mbit, do, ctx, t); err != nil {
		b.Error = err.Error() // the checks see it
	}
	if r.state, err = r.Status(ctx); err != nil {
		return err
	}
	diff := carried(before, r.state)
	for i := range r.demo.Links {
		l := &r.demo.Links[i]
		alone := enter(l, diff[l.Name])
		b.Sum, b.Best = b.Sum+alone, max(b.Best, alone)
	}
	b.Share = b.Mbit / b.Sum
	return nil
}

func (r *demoRun) pullOne(ctx context.Context, l *DemoLink) error {
	if err := r.Warm(ctx); err != nil {
		return err
	}
	link := r.Network.Link(l.Name)
	got, err := r.pull(ctx, pull{
		link: l.Name, lose: link.Down, mend: link.Up,
		at: r.lengths.away, back: 2 * r.lengths.away, bytes: r.lengths.bytes,
	})
	if err != nil {
		return err
	}
	l.Pull = Pull{GapMs: ms(got.LongestGap), GapAtMs: ms(got.GapAt), Complete: got.complete, BytesAfter: got.bytesAfter, Mbit: got.Mbit()}
	if got.err != nil {
		l.Pull.Error = got.err.Error()
	}
	return ctx.Err()
}

func (r *demoRun) look(context.Context) error {
	s := &r.demo.Seen
	s.Relay = r.Network.Addrs(RelayName)[0].String()
	for _, c := range r.Network.Server().Seen() {
		if c.Since.Before(r.seen) || c.Port != PortHTTP {
			continue
		}
		s.Connections++
		if c.Multipath {
			s.Multipath++
		}
		if from := c.Peer.Addr().String(); !slices.Contains(s.From, from) {
			s.From = append(s.From, from)
		}
	}
	return nil
}

// The bounds are wide: on a busy machine the figures suffer, the function must not.
const (
	betterThanBest = 1.2
	leastPart      = 0.05 // of the bundle's bytes, over each link
	gapLimit       = 5 * time.Second
	firstByteSlack = 1.2
)

func (r *demoRun) judge() {
	d := r.demo
	r.check("Multipath TCP is in use on every link", r.state.Multipath.OK && mptcpWords(r.state)["ok"] == len(d.Links), "%s %s", linkWords(r.state), r.state.Multipath.Why)
	for _, b := range []struct {
		name string
		Bundle
		bytes func(DemoLink) uint64
	}{
		{"download", d.Down, func(l DemoLink) uint64 { return l.Down.BundleBytes }},
		{"upload", d.Up, func(l DemoLink) uint64 { return l.Up.BundleBytes }},
	} {
		r.check("the "+b.name+" runs to its end", b.Error == "", "%s", b.Error)
		r.check("the "+b.name+" beats the best link clearly", b.Mbit > betterThanBest*b.Best, "%.2f times", b.Mbit/b.Best)
		var sum, least uint64
		for i, l := range d.Links {
			sum += b.bytes(l)
			if i == 0 || b.bytes(l) < least {
				least = b.bytes(l)
			}
		}
		r.check("every link carried a part of the "+b.name, float64(least) > leastPart*float64(sum), "%.0f %% or more", 100*float64(least)/float64(max(sum, 1)))
	}
	r.check("a request is not slower than direct", d.First.GatewayMs < firstByteSlack*d.First.DirectMs, "%.2f of the time", d.First.GatewayMs/d.First.DirectMs)
	for _, l := range d.Links {
		r.check("a download survives the loss of "+l.Name, l.Pull.Complete && l.Pull.GapMs < ms(gapLimit), "%s", l.Pull.Error)
		r.check(l.Name+" is used again when it is back", l.Pull.BytesAfter > 100e3, "%.1f MB", mega(l.Pull.BytesAfter))
	}
	s := d.Seen
	r.check("the final server saw plain TCP, from the relay", s.Connections > 0 && s.Multipath == 0 && len(s.From) == 1 && s.From[0] == s.Relay, "")
	d.Checks = r.Checks
}
