package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// What a day at rest is made of, besides what the gateway's status says.
const (
	// warmAtRest is how many connections wait.
	warmAtRest = 8

	// relayProbe is how often the relay probes each subflow: mptcp.PatientKeepAlive.
	// Too seldom to be seen here; such a probe is as large as the gateway's.
	relayProbe = 15 * time.Minute

	// exchange is a probe of a link's health and its echo, as IPv4 packets.
	exchange = 2 * (20 + 8 + 52)

	// lookEvery is how often the gateway enters what its connections cost, at most.
	lookEvery = 16 * time.Second

	// idleDayMB is the target for the pool, and probeDayMB that for probes of a metered
	// link's health, MB being 10^6 bytes of IP packets both ways.
	idleDayMB  = 2
	probeDayMB = 3
)

// idleConfig has the second link metered, so that the gateway keeps to a budget.
const idleConfig = `
[[gateway.link]]
name = "dsl"
[[gateway.link]]
name = "lte"
metered = true
`

// idleCost measures what each event of a day at rest takes of each link (making a
// connection, one probe of each subflow, the end of a connection), and how often
// each happens by the gateway's own words. What the gateway does over a whole day
// its tests say, in virtual time. Then it measures what the rest was for.
func idleCost(ctx context.Context, t *trial) error {
	run := &idleRun{trial: t, config: filepath.Join(t.Dir, "idle.toml")}
	if err := os.WriteFile(run.config, []byte(idleConfig), 0o600); err != nil {
		return err
	}
	capture, err := t.Network.Capture(false)
	if err != nil {
		return err
	}
	for _, part := range []func(context.Context) error{run.start, run.rest, run.burst} {
		if err == nil {
			err = part(ctx)
		}
	}
	events, cerr := capture.Stop()
	if err := errors.Join(err, cerr); err != nil {
		return err
	}
	sessions, joined := allJoined(bundles(events, RelayPort), len(t.Network.Links()))
	if err := run.end(ctx); err != nil {
		return err
	}
	run.judge()
	t.figure("burst after the rest: began with every link joined", 100*float64(joined)/float64(max(1, sessions)), "%", atLeast(joinedPercent))
	return nil
}

// An idleRun is one run of the scenario. The bytes are those of each link.
type idleRun struct {
	*trial
	config        string
	made          map[string]float64 // to make a connection
	probed        map[string]float64 // to probe every subflow once
	health        map[string]float64 // probes of the link's health in a day, from above
	ended         map[string]float64 // to end a connection
	before, after Status             // of the rest
}

func (r *idleRun) start(ctx context.Context) error {
	r.step(lookEvery+3*time.Second, "start relay and gateway")
	if err := r.StartRelay(ctx); err != nil {
		return err
	}
	since := r.streamBytes()
	if err := r.StartGateway(ctx, "--config", r.config); err != nil {
		return err
	}
	if err := r.Warm(ctx); err != nil {
		return err
	}
	if err := sleep(ctx, time.Second); err != nil {
		return err
	}
	r.made = r.passed(since, warmAtRest)
	return sleep(ctx, lookEvery) // then last words of the joins are in the books
}

func (r *idleRun) rest(ctx context.Context) (err error) {
	if r.before, err = r.Status(ctx); err != nil {
		return err
	}
	probe := r.probeEvery()
	if probe < time.Second || r.before.Pool.LastsSeconds < 1 {
		return fmt.Errorf("the gateway says it probes each %v, and keeps a connection for %.0f s", probe, r.before.Pool.LastsSeconds)
	}
	r.step(probe+lookEvery, "nobody asks until each subflow has been probed once")
	since, datagrams := r.streamBytes(), r.datagrams()
	if err := sleep(ctx, probe); err != nil {
		return err
	}
	r.probed = r.passed(since, 1)
	if err := sleep(ctx, lookEvery); err != nil {
		return err
	}
	r.health = make(map[string]float64)
	for name, n := range r.datagrams() {
		// There may be one more in the next rest as long as this one.
		n += exchange - datagrams[name]
		r.health[name] = float64(n) * float64(24*time.Hour) / float64(probe+lookEvery)
	}
	r.after, err = r.Status(ctx)
	return err
}

// burst opens fifty connections at once to a pool that has only rested.
func (r *idleRun) burst(ctx context.Context) error {
	r.step(4*time.Second, "50 opens within 2 s after the rest")
	s := &setupRun{trial: r.trial}
	m, err := s.measure(ctx, sizedURL, append(s.by(WayWarm), "--burst", "50/2s", "--size", "20k")...)
	if err != nil {
		return err
	}
	run := m.Runs[0]
	r.figure("burst after the rest: first byte, p95", run.First.P95, "ms", atMost(burstP95Ms))
	r.figure("burst after the rest: last byte, median", run.Last.Median, "ms", atMost(burstLastMs))
	r.check("every connection of the burst was served", run.Failed == 0, "%d of %d failed", run.Failed, len(run.Samples))
	return sleep(ctx, 2*time.Second)
}

// end stops the gateway and starts it again, which must not make it forget what it
// has spent.
func (r *idleRun) end(ctx context.Context) error {
	r.step(3*time.Second, "stop the gateway and start it again")
	last, err := r.Status(ctx)
	if err != nil {
		return err
	}
	since := r.streamBytes()
	if err := r.StopGateway(syscall.SIGTERM); err != nil {
		return err
	}
	if err := sleep(ctx, time.Second); err != nil {
		return err
	}
	r.ended = r.passed(since, max(1, last.Pool.Warm))
	if err := r.StartGateway(ctx, "--config", r.config); err != nil {
		return err
	}
	again, err := r.Status(ctx)
	if err != nil {
		return err
	}
	for i, l := range again.Links {
		r.check(l.Name+" is charged after a restart as before", l.UpkeepBytes >= last.Links[i].UpkeepBytes,
			"%d bytes, and %d before", l.UpkeepBytes, last.Links[i].UpkeepBytes)
	}
	return nil
}

func (r *idleRun) judge() {
	const day = 24 * time.Hour
	renewals := warmAtRest * day.Seconds() / r.before.Pool.LastsSeconds
	probes := float64(day) / float64(r.probeEvery())
	for _, name := range r.Network.Links() {
		perDay := r.probed[name]*(probes+float64(day)/float64(relayProbe)) + renewals*(r.made[name]+r.ended[name])
		r.figure("the pool on "+name+", a day at rest", perDay/1e6, "MB", atMost(idleDayMB))
	}
	for i, name := range r.Network.Links() {
		var target *Target
		if r.after.Links[i].Metered {
			target = atMost(probeDayMB)
		}
		r.figure("health probes on "+name+", a day at rest", r.health[name]/1e6, "MB", target)
	}
	for i, name := range r.Network.Links() {
		r.figure(name+", to make a connection", r.made[name], "bytes", nil)
		r.figure(name+", to end a connection", r.ended[name], "bytes", nil)
		r.figure(name+", to probe a subflow", r.probed[name]/warmAtRest, "bytes", nil)
		charged := float64(r.after.Links[i].UpkeepBytes - r.before.Links[i].UpkeepBytes)
		r.check(name+" is charged what the rest took of it", charged > 0.8*r.probed[name] && charged < 1.2*r.probed[name],
			"%.0f bytes, and the link carried %.0f", charged, r.probed[name])
	}
	r.figure("probes of each subflow", probes, "a day", nil)
	r.figure("connections made anew", renewals, "a day", nil)
	r.check("all connections outlast the rest", r.after.Pool.Warm == warmAtRest, "%d warm connections", r.after.Pool.Warm)
}

func (r *idleRun) probeEvery() time.Duration {
	return time.Duration(r.before.Pool.ProbeSeconds * float64(time.Second))
}

// passed returns what of TCP each link has carried since, divided by n.
func (r *idleRun) passed(since map[string]uint64, n int) map[string]float64 {
	all := make(map[string]float64)
	for name, bytes := range r.streamBytes() {
		all[name] = float64(bytes-since[name]) / float64(n)
	}
	return all
}

// streamBytes are the IP bytes that each link has delivered, both ways, without
// those of UDP.
func (t *trial) streamBytes() map[string]uint64 {
	return t.eachLink(func(c Counters) uint64 { return c.Bytes - c.Datagrams })
}

// datagrams are the IP bytes of UDP that each link has delivered, both ways.
func (t *trial) datagrams() map[string]uint64 {
	return t.eachLink(func(c Counters) uint64 { return c.Datagrams })
}

func (t *trial) eachLink(of func(Counters) uint64) map[string]uint64 {
	all := make(map[string]uint64)
	for _, name := range t.Network.Links() {
		up, down := t.Network.Link(name).Counters()
		all[name] = of(up) + of(down)
	}
	return all
}
