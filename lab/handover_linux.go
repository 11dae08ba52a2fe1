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
	watch time.Duration // for how long the transfer goes on then
	// link chooses the link, just before it happens.
	link func(*trial) *Link
	lose func(*Link) error
	mend func(*Link) error // afterwards, when the transfer has ended
}

// A handed is what became of one.
type handed struct {
	Result
	link string
	gap  Gap     // the longest that lasted into what came after the fault
	err  error   // of the transfer
	rate float64 // in Mbit/s, of the second before the fault
}

// handOver does it once. Its error is one of the lab, not of the transfer.
func (t *trial) handOver(ctx context.Context, h handover) (handed, error) {
	type outcome struct {
		Result
		error
	}
	ctx, cancel := context.WithTimeout(ctx, h.at+h.watch+time.Minute)
	defer cancel()
	first, done := make(chan struct{}), make(chan outcome, 1)
	tr := t.through(h.url, h.at+h.watch)
	tr.Began = func() { close(first) }
	go func() {
		r, err := Download(ctx, tr)
		done <- outcome{r, err}
	}()
	select {
	case <-first:
	case o := <-done:
		return handed{}, fmt.Errorf("begin a transfer: %w", o.error)
	}
	began := time.Now()
	if err := sleep(ctx, h.at); err != nil {
		cancel()
		<-done
		return handed{}, err
	}
	l := h.link(t)
	lost := time.Since(began)
	err := h.lose(l)
	o := <-done
	if h.mend != nil {
		err = errors.Join(err, h.mend(l))
	}
	got := handed{Result: o.Result, link: l.Name, gap: o.GapAfter(lost), err: o.error, rate: o.MbitBetween(lost-time.Second, lost)}
	if got.err == nil && got.SHA256 != Sum(got.Bytes) {
		got.err = errors.New("its content is not what was sent")
	}
	return got, err
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

// handOvers does it several times, each time with a new gateway, beside the plain
// pair, and enters the figures under a name. The target is for ours.
func (t *trial) handOvers(ctx context.Context, plain *trial, name string, times int, h handover, target *Target) error {
	all := map[*trial][]handed{}
	for i := range times {
		t.step(h.at+h.watch+2*time.Second, "%s, %d of %d", name, i+1, times)
		var got [2]handed
		err := t.both(plain, func(p *trial) (err error) {
			if err := p.anew(ctx); err != nil {
				return err
			}
			i := 0
			if p == plain {
				i = 1
			}
			got[i], err = p.handOver(ctx, h)
			return err
		})
		if err != nil {
			return err
		}
		all[t], all[plain] = append(all[t], got[0]), append(all[plain], got[1])
	}
	gaps := func(p *trial) (spread measure.Spread, err error) {
		var gaps []float64
		for _, g := range all[p] {
			gaps, err = append(gaps, ms(g.gap.Length)), errors.Join(err, g.err)
		}
		return measure.NewSpread(gaps), err
	}
	ours, err := gaps(t)
	theirs, perr := gaps(plain)
	t.figure(name+": longest gap, median", ours.Median, "ms", target)
	t.figure(name+": longest gap, worst of "+fmt.Sprint(times), ours.Max, "ms", nil)
	t.figure("plain pair, "+name+": longest gap, median", theirs.Median, "ms", nil)
	t.figure("plain pair, "+name+": longest gap, worst", theirs.Max, "ms", nil)
	t.check("the transfers survive, "+name, err == nil, "%v", orOK(err))
	if perr != nil {
		t.notMeasured("some of the plain pair's, "+name, perr.Error())
	}
	return nil
}
