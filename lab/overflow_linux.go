package lab

import (
	"context"
	"fmt"
	"time"
)

// overflowLengths are how long the parts of the scenario take.
type overflowLengths struct {
	below, above, upload time.Duration
}

// The demand below what DSL carries, in Mbit/s, and the targets.
const (
	overflowDown   = 20
	overflowUp     = 6
	overflowSpared = 2   // percent of the bytes over LTE, at most
	overflowShare  = 0.9 // of the sum of both links
	overflowWithin = 4 * time.Second
	overflowOver   = 6 * time.Second // from when on a demand that has fallen is measured
)

func overflow(ctx context.Context, t *trial) error {
	return overflowWith(ctx, t, overflowLengths{below: 60 * time.Second, above: 14 * time.Second, upload: 20 * time.Second})
}

// overflowWith has LTE used only when DSL is full. The plain pair beside it has both
// links on, for the kernel knows nothing between that and never.
func overflowWith(ctx context.Context, t *trial, l overflowLengths) error {
	plain, err := t.beside(ctx)
	if err != nil {
		return err
	}
	t.step(2*time.Second, "start relays and gateways")
	if err := t.both(plain, func(p *trial) error {
		if p == plain {
			return p.begin(ctx)
		}
		if err := p.StartRelay(ctx); err != nil {
			return err
		}
		if err := p.StartGateway(ctx, "--link", "dsl", "--link", "lte=overflow"); err != nil {
			return err
		}
		return p.Warm(ctx)
	}); err != nil {
		return err
	}
	for _, d := range []struct {
		name         string
		do           func(context.Context, Transfer) (Result, error)
		full         string
		demand       float64
		below, above time.Duration
	}{
		{name: "download", do: Download, full: endless, demand: overflowDown, below: l.below, above: l.above},
		{name: "upload", do: Upload, full: uploadURL, demand: overflowUp, below: l.upload, above: l.above},
	} {
		r := overflowRun{trial: t, plain: plain, name: d.name, do: d.do, full: d.full, demand: d.demand}
		if err := r.below(ctx, d.below); err != nil {
			return err
		}
		if err := r.above(ctx, d.above); err != nil {
			return err
		}
	}
	return nil
}

// An overflowRun is one direction.
type overflowRun struct {
	*trial
	plain  *trial
	name   string
	do     func(context.Context, Transfer) (Result, error)
	full   string
	demand float64 // in Mbit/s
}

// less returns a transfer of the demand that DSL has room for.
func (r *overflowRun) less(p *trial, d time.Duration) Transfer {
	if r.full == uploadURL {
		t := p.through(uploadURL, d)
		t.RateMbit = r.demand
		return t
	}
	return p.through(fmt.Sprintf("http://%s/slow?rate=%g", ServerName, r.demand), d)
}

// carriedBy returns what the links of a network have carried so far, both ways.
func (n *Network) carriedBy() map[string]uint64 {
	all := make(map[string]uint64)
	for _, name := range n.Links() {
		up, down := n.Link(name).Counters()
		all[name] = up.Bytes + down.Bytes
	}
	return all
}

// share returns the percentage of bytes that went over LTE since before.
func (n *Network) share(before map[string]uint64) float64 {
	now := n.carriedBy()
	lte, dsl := now["lte"]-before["lte"], now["dsl"]-before["dsl"]
	return 100 * float64(lte) / float64(max(lte+dsl, 1))
}

// below measures what LTE carries while DSL has room.
func (r *overflowRun) below(ctx context.Context, length time.Duration) error {
	r.step(length, "%s at %g Mbit/s, which DSL can carry", r.name, r.demand)
	var shares [2]float64
	var rates [2]float64
	if err := r.both(r.plain, func(p *trial) error {
		i := r.index(p)
		before := p.Network.carriedBy()
		got, err := r.do(ctx, r.less(p, length))
		shares[i], rates[i] = p.Network.share(before), got.Mbit()
		return err
	}); err != nil {
		return err
	}
	what := fmt.Sprintf("%s at %g Mbit/s", r.name, r.demand)
	r.figure(what+", share over LTE", shares[0], "%", atMost(overflowSpared))
	r.figure("plain pair, "+what+", share over LTE", shares[1], "%", nil)
	r.check(what+" gets its rate", rates[0] > 0.95*r.demand, "%.1f Mbit/s", rates[0])
	return nil
}

func (r *overflowRun) index(p *trial) int {
	if p == r.plain {
		return 1
	}
	return 0
}

// above measures the bundle when more is wanted than DSL carries, and that LTE is left
// when that is over.
func (r *overflowRun) above(ctx context.Context, length time.Duration) error {
	const alone = 6 * time.Second
	var sum float64
	for _, name := range r.Network.Links() {
		r.step(alone, "%s over %s alone, plain TCP", r.name, name)
		got, err := r.do(ctx, Transfer{Dialer: r.home(name), URL: r.full, For: alone})
		if err != nil {
			return err
		}
		rate := got.MbitBetween(2*time.Second, got.Elapsed)
		r.figure(fmt.Sprintf("%s over %s alone, plain TCP, without the first 2 s", r.name, name), rate, "Mbit/s", nil)
		sum += rate
	}
	r.step(length, "%s at full rate", r.name)
	if err := sleep(ctx, 2*time.Second); err != nil { // what was under way is not to count
		return err
	}
	var rates [2]float64
	var opened time.Duration
	if err := r.both(r.plain, func(p *trial) error {
		if err := p.Warm(ctx); err != nil {
			return err
		}
		seen := make(chan time.Duration, 1)
		watch, stop := context.WithCancel(ctx)
		go func() { seen <- p.Network.whenCarried(watch, "lte", 200e3) }()
		got, err := r.do(ctx, p.through(r.full, length))
		stop()
		if p != r.plain {
			opened = <-seen
		} else {
			<-seen
		}
		rates[r.index(p)] = got.MbitBetween(overflowWithin, got.Elapsed)
		return err
	}); err != nil {
		return err
	}
	r.figure(r.name+" at full rate: LTE is used after", opened.Seconds(), "s", atMost(2))
	r.figure(r.name+" at full rate, from 4 s on", rates[0], "Mbit/s", nil)
	r.figure(r.name+" at full rate, from 4 s on, share of the sum", 100*rates[0]/sum, "%", atLeast(100*overflowShare))
	r.figure("plain pair, "+r.name+" at full rate, from 4 s on, share of the sum", 100*rates[1]/sum, "%", nil)

	const fallen = 8 * time.Second
	r.step(overflowOver+fallen, "%s at %g Mbit/s again", r.name, r.demand)
	done := make(chan error, 1)
	go func() {
		_, err := r.do(ctx, r.less(r.trial, overflowOver+fallen))
		done <- err
	}()
	err := sleep(ctx, overflowOver)
	before := r.Network.carriedBy()
	if derr := <-done; err == nil {
		err = derr
	}
	r.figure(fmt.Sprintf("%s at %g Mbit/s afterwards, from %g s on, share over LTE", r.name, r.demand, overflowOver.Seconds()), r.Network.share(before), "%", atMost(overflowSpared))
	return err
}

// whenCarried returns after how long a link has carried so many bytes from now on,
// or for how long it did not.
func (n *Network) whenCarried(ctx context.Context, link string, bytes uint64) time.Duration {
	began, before := time.Now(), n.carriedBy()[link]
	for ctx.Err() == nil && n.carriedBy()[link]-before < bytes {
		sleep(ctx, 10*time.Millisecond)
	}
	return time.Since(began)
}
