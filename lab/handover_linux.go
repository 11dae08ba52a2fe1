package lab

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"tributary/measure"
)

// A handover is a transfer during which something happens to a link.
type handover struct {
	url   string
	at    time.Duration // since the first byte: when it happens
	away  time.Duration // how long it lasts; 0 is until the transfer has ended
	watch time.Duration // for how long the transfer goes on after all that
	// link chooses the link, just before it happens.
	link func(*trial) *Link
	lose func(*Link) error
	mend func(*Link) error
}

// A handed is what became of one.
type handed struct {
	Result
	link string
	gap  Gap           // the longest that lasted into what came after the fault
	back time.Duration // since the first byte: when the link was mended
	err  error         // of the transfer
}

// handOver does it once. Its error is one of the lab, not of the transfer.
func (t *trial) handOver(ctx context.Context, h handover) (got handed, err error) {
	ctx, cancel := context.WithTimeout(ctx, h.at+h.away+h.watch+time.Minute)
	defer cancel()
	tr := t.begun(ctx, t.through(h.url, h.at+h.away+h.watch))
	if err := tr.wait(ctx); err != nil {
		return got, fmt.Errorf("begin a transfer: %w", err)
	}
	if err := sleep(ctx, h.at); err != nil {
		return got, err
	}
	l := h.link(t)
	lost := time.Since(tr.first)
	if err := h.lose(l); err != nil {
		return got, err
	}
	if h.away > 0 {
		err = sleep(ctx, h.away)
	} else {
		<-tr.done
	}
	got.link, got.back = l.Name, time.Since(tr.first)
	if err := errors.Join(err, h.mend(l)); err != nil {
		return got, err
	}
	<-tr.done
	got.Result, got.err, got.gap = tr.Result, tr.err, tr.GapAfter(lost)
	return got, nil
}

// A transfer is a download that runs.
type transfer struct {
	Result // once it is done
	err    error
	first  time.Time // when its first byte came, once it has begun
	begun  chan struct{}
	done   chan struct{}
}

// begun starts a download of Content, which ends with ctx.
func (t *trial) begun(ctx context.Context, what Transfer) *transfer {
	tr := &transfer{begun: make(chan struct{}), done: make(chan struct{})}
	what.Began = func() {
		tr.first = time.Now()
		close(tr.begun)
	}
	go func() {
		defer close(tr.done)
		if tr.Result, tr.err = Download(ctx, what); tr.err == nil && tr.SHA256 != Sum(tr.Bytes) {
			tr.err = errors.New("its content is not what was sent")
		}
	}()
	return tr
}

// wait waits for the first byte.
func (tr *transfer) wait(ctx context.Context) error {
	select {
	case <-tr.begun:
		return nil
	case <-tr.done:
		return tr.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// anew gives the gateway a start without any memory of the links, and a moment of
// rest. What the kernel dropped with a link that went down is made again by hand, where
// that is the way.
func (t *trial) anew(ctx context.Context) error {
	if err := t.StopGateway(syscall.SIGTERM); err != nil {
		return err
	}
	if t.Unprivileged {
		if err := t.Network.byHand(); err != nil {
			return err
		}
	}
	if err := t.StartGateway(ctx); err != nil {
		return err
	}
	if err := t.Warm(ctx); err != nil {
		return err
	}
	return sleep(ctx, 500*time.Millisecond)
}

// ours and theirs are what each side of a comparison saw.
type compared struct{ ours, theirs []handed }

// handOvers does it several times, each time with a new gateway, beside the plain pair.
func (t *trial) handOvers(ctx context.Context, plain *trial, name string, times int, h handover) (all compared, err error) {
	for i := range times {
		t.step(h.at+h.away+h.watch+2*time.Second, "%s, %d of %d", name, i+1, times)
		ours, theirs, err := compare(t, plain, func(p *trial) (got handed, err error) {
			if err := p.anew(ctx); err != nil {
				return got, err
			}
			return p.handOver(ctx, h)
		})
		if err != nil {
			return all, err
		}
		all.ours, all.theirs = append(all.ours, ours), append(all.theirs, theirs)
	}
	return all, nil
}

// judge enters a figure of each transfer. The target is for ours.
func (t *trial) judge(all compared, name, what, unit string, value func(handed) float64, target *Target) {
	spread := func(side []handed) (measure.Spread, error) {
		var values []float64
		var err error
		for _, g := range side {
			values, err = append(values, value(g)), errors.Join(err, g.err)
		}
		return measure.NewSpread(values), err
	}
	ours, err := spread(all.ours)
	theirs, perr := spread(all.theirs)
	t.figure(name+": "+what+", median", ours.Median, unit, target)
	t.figure(name+": "+what+fmt.Sprintf(", worst of %d", len(all.ours)), ours.Max, unit, nil)
	t.figure("plain pair, "+name+": "+what+", median", theirs.Median, unit, nil)
	t.figure("plain pair, "+name+": "+what+", worst", theirs.Max, unit, nil)
	t.check("the transfers survive, "+name, err == nil, "%v", orOK(err))
	if perr != nil {
		t.notMeasured("some of the plain pair's, "+name, perr.Error())
	}
}

func (g handed) gapMs() float64 { return ms(g.gap.Length) }
