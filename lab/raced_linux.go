package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"tributary/measure"
)

// racedLengths are how much the scenario measures.
type racedLengths struct {
	alone  int           // requests without a proxy
	losses int           // how often DSL goes silent
	each   time.Duration // between two requests
	ailing time.Duration // how long requests are made while DSL is silent, and while it loses some
}

func raced(ctx context.Context, t *trial) error {
	return racedWith(ctx, t, racedLengths{alone: 10, losses: 5, each: 200 * time.Millisecond, ailing: 10 * time.Second})
}

const (
	racedSoon  = 50 * time.Millisecond // from the silence to the first request
	racedLimit = 10 * time.Second      // for one request
	racedLoss  = 0.2
	racedLate  = 3 * time.Second // what a dead link has held back may arrive afterwards
)

// A racedRun is one run of the scenario.
type racedRun struct {
	*trial
	plain   *trial
	lengths racedLengths
	book    map[string]*racedBook
}

// A racedBook is what is known of a case so far.
type racedBook struct {
	mu     sync.Mutex
	first  []float64
	count  int
	failed int
	err    error
	raced  int64
	won    int64
}

func racedWith(ctx context.Context, t *trial, l racedLengths) error {
	plain, err := t.beginBoth(ctx)
	if err != nil {
		return err
	}
	r := &racedRun{t, plain, l, map[string]*racedBook{}}
	for _, what := range []string{racedHealthy, racedFirst, racedLater, racedPlain, racedDoubtful, racedLossy} {
		r.book[what] = &racedBook{}
	}
	t.step(time.Duration(l.alone)*200*time.Millisecond, "direct over LTE")
	for range l.alone {
		r.fetch(ctx, racedHealthy, r.overLink("lte"))
	}
	for i := range l.losses {
		if err := r.silence(ctx, i == l.losses-1); err != nil {
			return err
		}
	}
	if err := r.doubt(ctx); err != nil {
		return err
	}
	r.finish()
	return nil
}

// finish puts the cases into the report.
func (r *racedRun) finish() {
	r.Raced = &RacedTimes{}
	for _, what := range []string{racedHealthy, racedFirst, racedLater, racedPlain, racedLossy, racedDoubtful} {
		b := r.book[what]
		c := RacedCase{What: what, First: measure.NewSpread(b.first), Count: b.count, Failed: b.failed, Raced: b.raced, Won: b.won}
		r.Raced.Cases = append(r.Raced.Cases, c)
		if c.ours() {
			r.Raced.Asked += c.Count
			r.check("the first error, "+what, b.err == nil, "%v", orOK(b.err))
		}
	}
	relay := r.Network.Addrs(RelayName)
	for _, s := range r.Network.Server().Seen() {
		for _, a := range relay {
			if s.Peer.Addr() == a {
				r.Raced.Opened++
			}
		}
	}
	r.Raced.judge(r.Report)
}

// silence has DSL lose everything, asks soon after, and, with more, again and again.
func (r *racedRun) silence(ctx context.Context, more bool) error {
	r.step(4*time.Second, "DSL goes silent")
	if err := r.anew(ctx); err != nil {
		return err
	}
	dsl := r.Network.Link("dsl")
	dsl.Silence(true)
	defer dsl.Silence(false)
	theirs := r.plain.Network.Link("dsl")
	theirs.Silence(more)
	defer theirs.Silence(false)
	if err := sleep(ctx, racedSoon); err != nil {
		return err
	}
	err := r.counted(ctx, racedFirst, func() error {
		var one sync.WaitGroup
		defer one.Wait()
		one.Go(func() { r.fetch(ctx, racedFirst, r.through) })
		if !more {
			return nil
		}
		return sleep(ctx, r.lengths.each)
	})
	if err != nil || !more {
		return err
	}
	r.step(r.lengths.ailing+racedLate, "DSL is silent")
	err = r.counted(ctx, racedLater, func() error {
		return r.keepAsking(ctx, map[string]racedWay{racedLater: r.through, racedPlain: r.throughPlain})
	})
	dsl.Silence(false)
	if err != nil {
		return err
	}
	return sleep(ctx, racedLate)
}

// doubt has DSL lose some packets.
func (r *racedRun) doubt(ctx context.Context) error {
	r.step(r.lengths.ailing+4*time.Second, "DSL loses 20 %%")
	if err := r.anew(ctx); err != nil {
		return err
	}
	dsl := r.Network.Link("dsl")
	healthy := dsl.Shape()
	defer dsl.Set(healthy)
	ill := healthy
	ill.Up.Loss, ill.Down.Loss = racedLoss, racedLoss
	dsl.Set(ill)
	return r.counted(ctx, racedDoubtful, func() error {
		return r.keepAsking(ctx, map[string]racedWay{racedDoubtful: r.through, racedLossy: r.overLink("dsl")})
	})
}

// counted notes how many requests went out twice meanwhile.
func (r *racedRun) counted(ctx context.Context, what string, do func() error) error {
	before, err := r.Status(ctx)
	if err == nil {
		err = do()
	}
	if err != nil {
		return err
	}
	after, err := r.Status(ctx)
	b := r.book[what]
	b.raced += after.Pool.Raced - before.Pool.Raced
	b.won += after.Pool.Won - before.Pool.Won
	return err
}

// A racedWay connects to the final server's web site.
type racedWay func(context.Context) (net.Conn, error)

func (r *racedRun) through(ctx context.Context) (net.Conn, error) {
	return r.ask(ctx, askSOCKS5, ServerName, PortHTTP)
}

func (r *racedRun) throughPlain(ctx context.Context) (net.Conn, error) {
	return r.plain.ask(ctx, askSOCKS5, ServerName, PortHTTP)
}

func (r *racedRun) overLink(name string) racedWay {
	return func(ctx context.Context) (net.Conn, error) {
		return r.home(name).DialContext(ctx, "tcp", fmt.Sprintf("%s:%d", ServerName, PortHTTP))
	}
}

// keepAsking begins a request by each way every now and then, whatever became of
// those before, and waits for all.
func (r *racedRun) keepAsking(ctx context.Context, ways map[string]racedWay) error {
	var all sync.WaitGroup
	defer all.Wait()
	began := time.Now()
	for at := time.Duration(0); at < r.lengths.ailing; at += r.lengths.each {
		if err := sleep(ctx, time.Until(began.Add(at))); err != nil {
			return err
		}
		for what, by := range ways {
			all.Go(func() { r.fetch(ctx, what, by) })
		}
	}
	return nil
}

// fetch makes a request and enters how long the first byte took.
func (r *racedRun) fetch(ctx context.Context, what string, by racedWay) {
	ctx, cancel := context.WithTimeout(ctx, racedLimit)
	defer cancel()
	took, err := firstByteOf(ctx, by)
	b := r.book[what]
	b.mu.Lock()
	defer b.mu.Unlock()
	b.count++
	if err != nil {
		b.failed++
		b.err = errors.Join(b.err, err)
		return
	}
	b.first = append(b.first, ms(took))
}

func firstByteOf(ctx context.Context, by racedWay) (time.Duration, error) {
	began := time.Now()
	c, err := by(ctx)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	deadline, _ := ctx.Deadline()
	c.SetDeadline(deadline)
	if _, err := fmt.Fprintf(c, "GET /hello HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", ServerName); err != nil {
		return 0, err
	}
	if _, err := c.Read(make([]byte, 1)); err != nil {
		return 0, fmt.Errorf("read the answer: %w", err)
	}
	took := time.Since(began)
	_, err = io.Copy(io.Discard, c)
	return took, err
}
