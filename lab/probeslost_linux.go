package lab

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"
)

// What a network that loses the gateway's probes is measured with.
const (
	probesGapMs = 200              // about what a download has anyway while BBR looks for the least round trip
	probesShare = 95               // percent of the rate before
	probesRest  = 40 * time.Second // two rounds of probes at rest, and what follows from them
)

// probesLost has networks drop all UDP, so the probes too, while TCP passes: first that of
// one link, then that of both. Neither link is dead, nor is any session to feel it.
func probesLost(ctx context.Context, t *trial) error {
	if err := t.begin(ctx); err != nil {
		return err
	}
	const alone, both, end = 5 * time.Second, 12 * time.Second, 18 * time.Second
	t.step(end, "UDP is dropped on DSL after %v, on both links after %v", alone, both)
	stop := t.watchLinks(ctx)
	d := t.begun(ctx, t.through(endless, end))
	if err := d.wait(ctx); err != nil {
		stop()
		return fmt.Errorf("begin a transfer: %w", err)
	}
	for _, drop := range []struct {
		link  string
		after time.Duration
	}{{"dsl", alone}, {"lte", both - alone}} {
		if err := sleep(ctx, drop.after); err != nil {
			stop()
			return err
		}
		t.Network.Link(drop.link).DropUDP(true)
	}
	<-d.done
	worst := stop()
	t.check("the download survives", d.err == nil, "%v", orOK(d.err))
	before := d.MbitBetween(2*time.Second, alone)
	t.figure("before", before, "Mbit/s", nil)
	for _, s := range []struct {
		name     string
		from, to time.Duration
	}{{"UDP dropped on DSL", alone, both}, {"UDP dropped on both", both, end}} {
		t.figure(s.name+": longest gap", ms(d.GapBetween(s.from, s.to).Length), "ms", atMost(probesGapMs))
		t.figure(s.name+": of the rate before", 100*d.MbitBetween(s.from, s.to)/before, "%", atLeast(probesShare))
	}
	t.check("under load no link is dead", worst == "", "%s", worst)
	t.step(probesRest, "rest")
	stop = t.watchLinks(ctx)
	err := sleep(ctx, probesRest)
	worst = stop()
	if err != nil {
		return err
	}
	t.check("at rest no link is dead", worst == "", "%s", worst)
	st, err := t.Status(ctx)
	if err != nil {
		return err
	}
	if _, ok := t.fetch(ctx, "a download afterwards works", 15e6); !ok {
		return ctx.Err()
	}
	after, err := t.Status(ctx)
	if err != nil {
		return err
	}
	for name, l := range carried(st, after) {
		t.check(name+" brings part of it", l.BytesDown > 3e6, "%.1f MB", mega(l.BytesDown))
	}
	return nil
}

// watchLinks looks at the links until stop is called, which returns what was wrong of them.
func (t *trial) watchLinks(ctx context.Context) (stop func() string) {
	ctx, cancel := context.WithCancel(ctx)
	wrong := map[string]bool{}
	var done sync.WaitGroup
	done.Go(func() {
		for sleep(ctx, 100*time.Millisecond) == nil {
			st, err := t.Status(ctx)
			if err != nil {
				continue
			}
			for _, l := range st.Links {
				if l.State != "up" || l.Health == "dead" || l.Role != "full" {
					wrong[fmt.Sprintf("%s %s, %s, %s", l.Name, l.State, l.Health, l.Role)] = true
				}
			}
		}
	})
	return func() string {
		cancel()
		done.Wait()
		var all []string
		for w := range wrong {
			all = append(all, w)
		}
		return strings.Join(all, "; ")
	}
}
