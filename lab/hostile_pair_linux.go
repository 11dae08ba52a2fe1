package lab

import (
	"context"
	"errors"
	"time"
)

// pairRepaired is how long after the repair both are looked at again.
const pairRepaired = 25 * time.Second

// hostilePair has DSL drop MPTCP SYNs before the gateway starts, and repairs it, for us
// and for a plain pair at the same time.
func hostilePair(ctx context.Context, t *trial) error {
	plain, err := t.beside(ctx)
	if err != nil {
		return err
	}
	t.step(25*time.Second, "DSL drops MPTCP SYNs since before the start, ours beside a plain pair")
	runs := map[*trial]*pairRun{t: {}, plain: {}}
	err = t.both(plain, func(t *trial) error { return runs[t].run(ctx, t) })
	for _, who := range []struct {
		prefix string
		*pairRun
	}{{"", runs[t]}, {"plain pair, ", runs[plain]}} {
		again := (*Target)(nil)
		if who.pairRun == runs[t] {
			again = atLeast(bundleMbit)
		}
		t.figure(who.prefix+"first byte while DSL drops MPTCP SYNs, median", who.median, "ms", nil)
		t.figure(who.prefix+"first byte while DSL drops MPTCP SYNs, max", who.most, "ms", nil)
		t.figure(who.prefix+"requests that failed", float64(who.failed), "", nil)
		t.figure(who.prefix+"download 25 s after the repair, without the first 2 s", who.after, "Mbit/s", again)
	}
	t.check("ours: every request is answered", runs[t].failed == 0, "%d failed", runs[t].failed)
	return err
}

// A pairRun is what one of both has shown.
type pairRun struct {
	median, most float64 // ms
	failed       int
	after        float64 // Mbit/s
}

func (r *pairRun) run(ctx context.Context, t *trial) error {
	dsl := t.Network.Link("dsl")
	dsl.DropMPTCPSyn(true)
	if err := t.Start(ctx); err != nil {
		return err
	}
	h := &hostileRun{trial: t}
	var times []float64
	for began := time.Now(); time.Since(began) < 2*hostileFor; {
		took, err := h.first(ctx)
		if err != nil {
			r.failed++
		} else {
			times = append(times, ms(took))
		}
		if err := sleep(ctx, hostileEach); err != nil {
			return errors.Join(err, ctx.Err())
		}
	}
	r.median, r.most = middle(times)
	dsl.DropMPTCPSyn(false)
	if err := sleep(ctx, pairRepaired); err != nil {
		return err
	}
	d, err := Download(ctx, t.through(endless, 6*time.Second))
	r.after = d.MbitBetween(2*time.Second, d.Elapsed)
	return err
}
