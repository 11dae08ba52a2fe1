package lab

import (
	"context"
	"errors"
	"fmt"
	"time"

	"tributary/mptcp/diag"
)

// What a network that forgets subflows is measured with.
const (
	forgottenFor  = 30 * time.Second // until all have joined again, at most
	forgottenTail = 5 * time.Second  // of the flow after the other link's loss, at least
)

// forgotten has LTE forget all subflows, as a provider's NAT does that starts anew, while
// the line works on. What lives is to join it again, and to outlive DSL then.
func forgotten(ctx context.Context, t *trial) error {
	if err := t.begin(ctx); err != nil {
		return err
	}
	const least = 3 * time.Second
	t.step(forgottenFor, "LTE forgets all subflows under a flow of 1 Mbit/s")
	flow := t.begun(ctx, t.through("http://"+ServerName+"/slow?rate=1", least+forgottenFor+forgottenTail))
	if err := flow.wait(ctx); err != nil {
		return fmt.Errorf("begin a transfer: %w", err)
	}
	if err := sleep(ctx, least); err != nil {
		return err
	}
	if n := t.over(ctx, "lte"); n != 1 {
		return fmt.Errorf("the flow has %d subflows over LTE at first", n)
	}
	ended, err := t.endSubflows("lte")
	if err != nil {
		return err
	}
	from := time.Now()
	t.check("LTE has forgotten the flow, too", ended > 0 && t.over(ctx, "lte") == 0, "%d subflows ended", ended)
	for t.over(ctx, "lte") == 0 && time.Since(from) < forgottenFor {
		if err := sleep(ctx, 200*time.Millisecond); err != nil {
			return err
		}
	}
	t.check("the flow has joined LTE again", t.over(ctx, "lte") == 1, "after %.0f s", time.Since(from).Seconds())
	t.figure("joined again after", time.Since(from).Seconds(), "s", atMost(forgottenFor.Seconds()))
	t.step(forgottenTail, "DSL goes silent")
	lost := time.Since(flow.first)
	t.Network.Link("dsl").Silence(true)
	defer t.Network.Link("dsl").Silence(false)
	<-flow.done
	t.check("the flow is whole", flow.err == nil, "%v", orOK(flow.err))
	t.figure("longest gap until then", ms(flow.GapBetween(0, lost).Length), "ms", nil)
	t.figure("longest gap when DSL is lost", ms(flow.GapAfter(lost).Length), "ms", atMost(silentGapMs))
	return nil
}

// over counts the subflows over a link of the one session that there is; -1 is not known.
func (t *trial) over(ctx context.Context, link string) (n int) {
	all, err := t.sessions(ctx, 2)
	if err != nil || len(all.List) != 1 {
		return -1
	}
	for _, f := range all.List[0].Subflows {
		if f.Link == link && f.State == "established" {
			n++
		}
	}
	return n
}

// endSubflows ends all subflows over a link, as a reset from the network does.
func (t *trial) endSubflows(link string) (ended int, err error) {
	own := t.Network.Link(link).Addr(false)
	err = t.Network.Host("home").Do(func() error {
		all, err := diag.Subflows(RelayPort)
		if err != nil {
			return err
		}
		var errs []error
		for pair := range all {
			if pair.Local.Addr() != own {
				continue
			}
			if err := diag.End(pair); err != nil {
				errs = append(errs, err)
				continue
			}
			ended++
		}
		return errors.Join(errs...)
	})
	return ended, err
}
