package lab

import (
	"context"
	"time"
)

func linkDown(ctx context.Context, t *trial) error {
	return t.loseEach(ctx, atMost(500), func(l *Link) pull { return pull{lose: l.Down, mend: l.Up} }, func(name string, p pull, r pulled) {
		t.figure(name+" back: rate from 2.5 s later", r.MbitBetween(p.back+2500*time.Millisecond, r.Elapsed), "Mbit/s", atLeast(0.9*bundleMbit))
		t.check(name+" is used again when it is back", r.bytesAfter > 100e3, "%.1f MB", mega(r.bytesAfter))
	})
}

// silentLoss has no target for the gap yet, and a subflow that the kernel gave up
// comes back with the next connection only.
func silentLoss(ctx context.Context, t *trial) error {
	silence := func(on bool, l *Link) func() error {
		return func() error {
			l.Silence(on)
			return nil
		}
	}
	return t.loseEach(ctx, nil, func(l *Link) pull { return pull{lose: silence(true, l), mend: silence(false, l)} }, func(name string, p pull, r pulled) {
		t.figure(name+" back: carried afterwards", mega(r.bytesAfter), "MB", nil)
	})
}

// loseEach loses one link after the other, each during a download of its own.
func (t *trial) loseEach(ctx context.Context, gap *Target, how func(*Link) pull, also func(name string, p pull, r pulled)) error {
	if err := t.begin(ctx); err != nil {
		return err
	}
	for _, name := range t.Network.Links() {
		t.step(15*time.Second, "lose %s during a download", name)
		// The other link must be in use again.
		if err := t.Warm(ctx); err != nil {
			return err
		}
		p := how(t.Network.Link(name))
		p.link, p.at, p.back, p.bytes = name, 3*time.Second, 6*time.Second, 60e6
		r, err := t.pull(ctx, p)
		if err != nil {
			return err
		}
		t.figure(name+" lost: longest gap", ms(r.LongestGap), "ms", gap)
		t.figure(name+" lost: the gap began at", ms(r.GapAt-p.at), "ms", nil)
		t.figure(name+" lost: rate from 1 s later", r.MbitBetween(p.at+time.Second, p.back), "Mbit/s", nil)
		detail := "60 MB"
		if r.err != nil {
			detail = r.err.Error()
		}
		t.check("the download survives the loss of "+name, r.complete, "%s", detail)
		t.check("it goes on soon without "+name, r.LongestGap < gapLimit, "")
		also(name, p, r)
	}
	return nil
}
