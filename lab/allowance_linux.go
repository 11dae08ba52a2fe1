package lab

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

const (
	// spareMB and lastMB are allowances of which a download of allowanceTime over a
	// link of 20 Mbit/s leaves less than half, and next to nothing.
	spareMB, lastMB = 30, 15
	allowanceTime   = 8 * time.Second

	// counted is how long what a link carries may take to show in the status.
	counted = 11 * time.Second

	// countedPercent is how much what is counted may differ from what the link carried.
	countedPercent = 2

	// sparedPercent is how much of the traffic a spared link may carry beside a link
	// that has room.
	sparedPercent = 2
)

// allowance uses up a small data plan: the link is spared, then a backup, and used
// all the same when it is the only one. What is counted is compared with what the link
// carried, and is not lost when the gateway is killed.
func allowance(ctx context.Context, t *trial) error {
	r := &allowanceRun{trial: t, before: t.anyBytes()}
	t.step(2*time.Second, "start relay and gateway, lte having %d MB a month", spareMB)
	if err := r.StartRelay(ctx); err != nil {
		return err
	}
	for _, part := range []func(context.Context) error{r.spare, r.keep, r.last} {
		if err := part(ctx); err != nil {
			return err
		}
	}
	return nil
}

type allowanceRun struct {
	*trial
	before map[string]uint64
}

// start starts the gateway with an allowance for lte, in MB.
func (r *allowanceRun) start(ctx context.Context, mb int) error {
	path := filepath.Join(r.Dir, "allowance.toml")
	text := fmt.Sprintf("[[gateway.link]]\nname = \"dsl\"\n[[gateway.link]]\nname = \"lte\"\nallowance_gb = %.3f\n", float64(mb)/1000)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return err
	}
	if err := r.StartGateway(ctx, "--config", path); err != nil {
		return err
	}
	return r.Warm(ctx)
}

// lands waits until all is counted and lte is used as sparingly as that.
func (r *allowanceRun) lands(ctx context.Context, thrift string) error {
	if err := sleep(ctx, counted); err != nil {
		return err
	}
	_, err := r.WaitStatus(ctx, "thrift "+thrift, func(st Status) bool { return st.Links[1].Usage.Thrift == thrift })
	return err
}

// spare uses more than half of the allowance, and looks who carries a download then.
func (r *allowanceRun) spare(ctx context.Context) error {
	if err := r.start(ctx, spareMB); err != nil {
		return err
	}
	r.step(allowanceTime, "a download over both links")
	if _, err := Download(ctx, r.through(endless, allowanceTime)); err != nil {
		return err
	}
	r.step(counted, "until that is counted")
	if err := r.lands(ctx, "spare"); err != nil {
		return err
	}
	r.step(3*time.Second, "a download that dsl has room for")
	if err := sleep(ctx, time.Second); err != nil {
		return err
	}
	since := r.anyBytes()
	if _, ok := r.fetch(ctx, "a file beside the spared link", 2_000_000); !ok {
		return nil
	}
	now := r.anyBytes()
	dsl, lte := float64(now["dsl"]-since["dsl"]), float64(now["lte"]-since["lte"])
	r.figure("lte while it is spared", 100*lte/(lte+dsl), "% of the bytes", atMost(sparedPercent))
	return nil
}

// keep kills the gateway, and compares what it knows then.
func (r *allowanceRun) keep(ctx context.Context) error {
	r.step(2*time.Second, "kill the gateway, and start it with half of the allowance")
	if err := r.StopGateway(syscall.SIGKILL); err != nil {
		return err
	}
	if err := r.start(ctx, lastMB); err != nil {
		return err
	}
	r.step(counted, "until all is counted")
	if err := r.lands(ctx, "backup"); err != nil {
		return err
	}
	st, err := r.Status(ctx)
	if err != nil {
		return err
	}
	now := r.anyBytes()
	for _, l := range st.Links {
		carried := float64(now[l.Name] - r.before[l.Name])
		r.figure(l.Name+", what was counted against what it carried", 100*math.Abs(float64(l.Usage.Bytes)/carried-1), "% off", atMost(countedPercent))
	}
	r.check("the status says it in a sentence", st.Links[1].Usage.Words != "", "%s", st.Links[1].Usage.Words)
	return nil
}

// last takes the other link away.
func (r *allowanceRun) last(ctx context.Context) error {
	r.step(3*time.Second, "pull dsl: the used-up link is all there is")
	if err := r.Network.Link("dsl").Down(); err != nil {
		return err
	}
	r.fetch(ctx, "a file over the used-up link alone", 1_000_000)
	return r.Network.Link("dsl").Up()
}

// anyBytes are the IP bytes that each link has delivered, both ways.
func (t *trial) anyBytes() map[string]uint64 {
	return t.eachLink(func(c Counters) uint64 { return c.Bytes })
}
