package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"tributary/lab/soak"
)

// What a soak is made of besides its faults.
const (
	soakSessions = 200
	soakGrace    = 2 * time.Minute  // for sessions to end when all is whole again
	soakRest     = 15 * time.Second // until nothing moves that is not at rest
	soakTells    = 15 * time.Second // between two lines of progress

	// soakLost is how many sessions of a thousand may be lost. A link can take one along
	// that has nothing else just then: a request on a connection that is a moment old and
	// has not joined the other link, or a session whose join there got lost. A link goes
	// every 18 s here, and with it perhaps one of the four requests that are that young.
	soakLost = 2.0

	// soakOrphans is how long sessions of the gateway may outlive their clients:
	// net.mptcp.close_timeout as the gateway sets it, and a bit.
	soakOrphans = 330 * time.Second
)

// A soakRun is one run of the scenario.
type soakRun struct {
	*trial
	book  *soak.Book
	plan  []soak.Fault
	began time.Time
	log   *programLog
	clean map[string][]string // the kernel's state of a host before anything ran
}

// endure runs sessions all the time while links fail at random, and looks what is
// left behind.
func endure(ctx context.Context, t *trial) error {
	links := t.Network.Links()
	plan := soak.Plan(t.options.Seed, t.length, links)
	r := &soakRun{trial: t, book: soak.NewBook(len(links), plan), plan: plan, log: &programLog{to: t.System.Log}}
	t.System.Log = r.log
	t.step(3*time.Second, "start relay and gateway, seed %d, %d faults", t.options.Seed, len(r.plan))
	if err := allowFiles(20 * soakSessions); err != nil {
		return err
	}
	r.clean = map[string][]string{}
	for _, host := range []string{"home", "relay"} {
		var err error
		if r.clean[host], err = t.Network.Host(host).kernelState(); err != nil {
			return err
		}
	}
	if err := t.begin(ctx); err != nil {
		return err
	}
	if err := r.run(ctx); err != nil {
		return err
	}
	r.judge()
	return r.leftovers(ctx)
}

// run has sessions and faults until the length is over and the sessions have ended.
func (r *soakRun) run(ctx context.Context) error {
	r.began = time.Now()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var sessions sync.WaitGroup
	stopping := make(chan struct{})
	for i := range soakSessions {
		sessions.Go(func() { r.work(ctx, i, stopping) })
	}
	faults := make(chan error, 1)
	go func() {
		err := r.faults(ctx)
		if err != nil {
			cancel(err)
		}
		faults <- err
	}()
	over := time.After(r.length)
	tick := time.NewTicker(soakTells)
	defer tick.Stop()
	for running := true; running; {
		select {
		case <-ctx.Done():
			running = false
		case <-over:
			running = false
		case <-tick.C:
			r.step(soakTells, "%v of %v: %v", time.Since(r.began).Round(time.Second), r.length, r.book.Balance(r.began))
		}
	}
	close(stopping)
	r.step(5*time.Second, "sessions end")
	grace := time.AfterFunc(soakGrace, func() {
		r.check("every session ends when all is whole", false, "%s", r.stuck(context.WithoutCancel(ctx)))
		cancel(errors.New("still running long after the end of all faults"))
	})
	sessions.Wait()
	grace.Stop()
	return <-faults
}

// programLog passes the programs' logs on, and keeps what each has written since it
// was asked to.
type programLog struct {
	to io.Writer

	mu   sync.Mutex
	kept bytes.Buffer
	keep bool
}

func (l *programLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.keep {
		l.kept.Write(p)
	}
	if l.to == nil {
		return len(p), nil
	}
	return l.to.Write(p)
}

func (l *programLog) begin() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.kept.Reset()
	l.keep = true
}

// end returns what one program has written since begin, without its name in front.
func (l *programLog) end(program string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.keep = false
	var b strings.Builder
	for line := range strings.Lines(l.kept.String()) {
		if rest, ok := strings.CutPrefix(line, program); ok {
			b.WriteString(strings.TrimLeft(rest, " "))
		}
	}
	return b.String()
}

func (r *soakRun) judge() {
	all := r.book.Balance(r.began)
	times, longest := r.book.Outages()
	kinds := map[soak.Kind]int{}
	for _, f := range r.plan {
		kinds[f.Kind]++
	}
	for _, k := range []soak.Kind{soak.Silent, soak.Unplugged, soak.Readdressed, soak.Lossy, soak.Slow, soak.Far, soak.Restart} {
		r.figure("faults: "+string(k), float64(kinds[k]), "", nil)
	}
	r.figure("times without any link", float64(times), "", nil)
	r.figure("longest time without any link", longest.Seconds(), "s", nil)
	r.figure("sessions that ended well", float64(all.Done), "", nil)
	r.figure("bytes checked", float64(all.Bytes)/1e6, "MB", nil)
	r.figure("sessions that failed with the relay, or were asked for without any link", float64(all.Excused), "", nil)
	r.figure("requests refused although a link lived", float64(all.Refused), "", atMost(0))
	lost := 1000 * float64(all.Lost) / float64(max(1, all.Done+all.Lost))
	r.figure("sessions lost", float64(all.Lost), "", nil)
	r.figure("sessions lost, of 1,000", lost, "", atMost(soakLost))
	r.figure("sessions with wrong bytes", float64(all.Wrong), "", atMost(0))
	r.check("every byte is right", all.Wrong == 0, "%.1f MB", float64(all.Bytes)/1e6)
	r.check("hardly a session is lost", lost <= soakLost && all.Refused == 0, "%s", strings.Join(all.Why, "; "))
	r.check("sessions went on all the time", all.Done > soakSessions, "%d", all.Done)
}

// A residue is what a pair of programs holds at rest.
type residue struct {
	warm                   int
	gatewayFiles           int
	relayFiles             int // when the gateway has gone
	gateway, relayRoutines soak.Dump
}

// leftovers compares what the programs hold after the soak with what a new pair does,
// and the kernel's state with that from before.
func (r *soakRun) leftovers(ctx context.Context) error {
	r.step(soakRest+25*time.Second, "look what is left")
	if err := r.allEnded(ctx); err != nil {
		return err
	}
	after, err := r.residue(ctx)
	if err != nil {
		return err
	}
	r.step(soakRest+15*time.Second, "compare with a new pair")
	if err := r.begin(ctx); err != nil {
		return err
	}
	fresh, err := r.residue(ctx)
	if err != nil {
		return err
	}
	more := max(0, after.warm-fresh.warm)
	const chance = 8 // connections being made just then
	compare := func(what string, after, fresh, allowed int, detail string) {
		r.figure(what, float64(after), "", nil)
		r.check("no leak: "+what, after <= fresh+allowed, "%d, a new pair has %d, and the pool %d warm connections more %s", after, fresh, more, detail)
	}
	compare("goroutines of the gateway", after.gateway.Total(), fresh.gateway.Total(), 2*more+chance, after.gateway.More(fresh.gateway))
	compare("descriptors of the gateway", after.gatewayFiles, fresh.gatewayFiles, more+chance, "")
	// Connections whose end the relay could not hear of for want of a link stay there
	// until its keepalive finds that out, after 16 minutes.
	left := max(0, after.relayFiles-fresh.relayFiles)
	r.figure("connections that the relay still takes for open", float64(left), "", nil)
	compare("goroutines of the relay", after.relayRoutines.Total(), fresh.relayRoutines.Total(), 2*left+chance, after.relayRoutines.More(fresh.relayRoutines))
	return r.kernel(ctx)
}

// allEnded waits until the gateway has no session any more. One whose client has
// gone may wait for the relay's end of it on a connection that has lost all its
// subflows; the kernel gives that up after a while.
func (r *soakRun) allEnded(ctx context.Context) error {
	began := time.Now()
	for {
		s, err := r.Status(ctx)
		if err != nil {
			return err
		}
		took := time.Since(began)
		if s.Sessions.Open == 0 || took > soakOrphans {
			r.figure("the gateway's last session ended after that of its client by", took.Seconds(), "s", nil)
			r.check("no session is left at the gateway", s.Sessions.Open == 0, "%s", r.stuck(ctx))
			return nil
		}
		if err := sleep(ctx, time.Second); err != nil {
			return err
		}
	}
}

// residue rests, counts, and ends both programs with what tells of goroutines.
func (r *soakRun) residue(ctx context.Context) (res residue, err error) {
	if err := sleep(ctx, soakRest); err != nil {
		return res, err
	}
	s, err := r.Status(ctx)
	if err != nil {
		return res, err
	}
	res.warm = s.Pool.Warm
	if res.gatewayFiles, err = openFiles(r.gateway.Process.Pid); err != nil {
		return res, err
	}
	r.log.begin()
	r.StopGateway(syscall.SIGQUIT) // which is no good order
	res.gateway = soak.ReadDump(r.log.end("gateway"))
	if err := sleep(ctx, 8*time.Second); err != nil {
		return res, err
	}
	if res.relayFiles, err = openFiles(r.relay.Process.Pid); err != nil {
		return res, err
	}
	r.log.begin()
	r.StopRelay(syscall.SIGQUIT)
	res.relayRoutines = soak.ReadDump(r.log.end("relay"))
	if res.gateway.Total() == 0 || res.relayRoutines.Total() == 0 {
		return res, errors.New("the programs have not told of their goroutines")
	}
	return res, nil
}

// openFiles counts a process's descriptors.
func openFiles(pid int) (int, error) {
	all, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return 0, fmt.Errorf("count descriptors: %w", err)
	}
	return len(all), nil
}

// kernel starts both once more, which takes back what was left by those that were
// killed, and stops them in good order.
func (r *soakRun) kernel(ctx context.Context) error {
	r.step(5*time.Second, "start once more and stop")
	for _, name := range r.Network.Links() {
		if err := r.Network.Link(name).addressBack(); err != nil {
			return err
		}
	}
	if err := r.begin(ctx); err != nil {
		return err
	}
	stopped := errors.Join(r.StopGateway(syscall.SIGTERM), r.StopRelay(syscall.SIGTERM))
	r.check("both end in good order", stopped == nil, "%v", orOK(stopped))
	for _, host := range []string{"home", "relay"} {
		left, err := r.Network.Host(host).kernelState()
		if err != nil {
			return err
		}
		r.same("no rule, route, endpoint or setting is left on "+host, r.clean[host], left)
	}
	return nil
}
