package lab

import (
	"context"
	"fmt"
	"time"

	"tributary/measure"
)

// recycledLengths are how much the scenario measures.
type recycledLengths struct {
	sizes map[int64]int // how often each
	cases int           // how often each
	rest  time.Duration
}

func recycled(ctx context.Context, t *trial) error {
	return recycledWith(ctx, t, recycledLengths{map[int64]int{10e3: 9, recycledSize: 15, 1e6: 6}, 3, 12 * time.Second})
}

// recycledPause is what lies between two sessions: the end of the first one has
// reached both sides by then.
const recycledPause = 100 * time.Millisecond

// A recycledRun is one run of the scenario.
type recycledRun struct {
	setupRun
	times           *RecycledTimes
	count, recycled [2]int64 // sessions that were not to be recycled, and those that were
}

func recycledWith(ctx context.Context, t *trial, l recycledLengths) error {
	t.Recycled = &RecycledTimes{}
	r := &recycledRun{setupRun: setupRun{trial: t}, times: t.Recycled}
	t.step(3*time.Second, "start relay and gateway")
	if err := r.startRelay(ctx); err != nil {
		return err
	}
	if err := r.lines(ctx, referenceR); err != nil {
		return err
	}
	for _, size := range []int64{10e3, recycledSize, 1e6} {
		if err := r.size(ctx, size, l.sizes[size]); err != nil {
			return fmt.Errorf("%s: %w", measure.SizeText(size), err)
		}
	}
	if err := r.small(ctx, l.cases); err != nil {
		return err
	}
	if err := r.rested(ctx, l.cases, l.rest); err != nil {
		return err
	}
	share := func(i int) float64 { return 100 * float64(r.recycled[i]) / float64(max(1, r.count[i])) }
	r.times.judge(t.Report, share(1), share(0))
	return nil
}

// size fetches answers of one size by all ways, in turns.
func (r *recycledRun) size(ctx context.Context, size int64, count int) error {
	each := 250*time.Millisecond + time.Duration(float64(size)*8/35e6*float64(time.Second))
	r.step(3*time.Duration(count)*each, "%s each way", measure.SizeText(size))
	runs := map[string]*samples{}
	for range rounds {
		for _, way := range []string{WayPassword, WayUnused, WayRecycled} {
			fetch := map[string]func(context.Context, int64, int) (*samples, error){
				WayPassword: r.fresh, WayUnused: r.unused, WayRecycled: r.again,
			}[way]
			s, err := fetch(ctx, size, max(1, count/rounds))
			if err != nil {
				return fmt.Errorf("%s: %w", way, err)
			}
			if runs[way] == nil {
				runs[way] = &samples{}
			}
			runs[way].last = append(runs[way].last, s.last...)
			runs[way].count += s.count
			runs[way].failed += s.failed
		}
	}
	for _, way := range []string{WayPassword, WayUnused, WayRecycled} {
		s := runs[way]
		r.times.Sizes = append(r.times.Sizes, SizePoint{Way: way, Size: size, Last: measure.NewSpread(s.last), Count: s.count, Failed: s.failed})
	}
	return nil
}

// fetches runs the instrument, and tells how many of the gateway's requests had a
// recycled connection.
func (r *recycledRun) fetches(ctx context.Context, way string, size int64, args ...string) (*samples, int64, error) {
	before, err := r.Status(ctx)
	if err != nil {
		return nil, 0, err
	}
	runs := map[string]*samples{}
	if err := r.collect(ctx, runs, way, sizedURL, append(args, "--size", fmt.Sprint(size))...); err != nil {
		return nil, 0, err
	}
	after, err := r.Status(ctx)
	return runs[way], after.Pool.Recycled - before.Pool.Recycled, err
}

func (r *recycledRun) fresh(ctx context.Context, size int64, n int) (*samples, error) {
	s, _, err := r.fetches(ctx, WayPassword, size, "--count", fmt.Sprint(n), "--pause", recycledPause.String())
	return s, err
}

// unused uses connections that have carried nothing, after it has done away with
// the others.
func (r *recycledRun) unused(ctx context.Context, size int64, n int) (*samples, error) {
	if err := r.discard(ctx); err != nil {
		return nil, err
	}
	return r.onNew(ctx, size, n)
}

func (r *recycledRun) onNew(ctx context.Context, size int64, n int) (*samples, error) {
	s, recycled, err := r.fetches(ctx, WayWarm, size, "--reset", "--count", fmt.Sprint(n), "--pause", recycledPause.String())
	r.count[0] += int64(n)
	r.recycled[0] += recycled
	return s, err
}

// again has sessions follow one another. The first one is not counted.
func (r *recycledRun) again(ctx context.Context, size int64, n int) (*samples, error) {
	if err := r.discard(ctx); err != nil {
		return nil, err
	}
	s, err := r.onUsed(ctx, size, n+1, "--pause", recycledPause.String())
	if err != nil {
		return nil, err
	}
	r.count[1]--
	s.count--
	if s.failed > 0 {
		return s, nil // which one it was does not matter any more
	}
	s.last = s.last[1:]
	return s, nil
}

func (r *recycledRun) onUsed(ctx context.Context, size int64, n int, args ...string) (*samples, error) {
	s, recycled, err := r.fetches(ctx, WayWarm, size, append(args, "--count", fmt.Sprint(n))...)
	r.count[1] += int64(n)
	r.recycled[1] += recycled
	return s, err
}

func (r *recycledRun) enter(what string, all ...*samples) {
	c := RecycleCase{What: what}
	var last []float64
	for _, s := range all {
		last = append(last, s.last...)
		c.Count += s.count
		c.Failed += s.failed
	}
	c.Last = measure.NewSpread(last)
	r.times.Cases = append(r.times.Cases, c)
}

// small measures what a connection does for an answer after it has carried little.
func (r *recycledRun) small(ctx context.Context, n int) error {
	r.step(time.Duration(n)*4*time.Second, "after small sessions")
	var all []*samples
	for range n {
		if err := r.discard(ctx); err != nil {
			return err
		}
		if _, _, err := r.fetches(ctx, WayWarm, 1e3, "--count", "12", "--pause", recycledPause.String()); err != nil {
			return err
		}
		if err := sleep(ctx, recycledPause); err != nil {
			return err
		}
		s, err := r.onUsed(ctx, recycledSize, 1)
		if err != nil {
			return err
		}
		all = append(all, s)
	}
	r.enter(afterSmall, all...)
	return nil
}

// rested measures connections that have rested, all at the same time: some that have
// carried a session before, which the gateway takes first, and some that have not.
func (r *recycledRun) rested(ctx context.Context, n int, rest time.Duration) error {
	r.step(rest+3*time.Second, "after a rest of %v", rest)
	if err := r.discard(ctx); err != nil {
		return err
	}
	// Of more at the same time the pool would not keep all.
	const used = 2
	if _, _, err := r.fetches(ctx, WayWarm, 1e6, "--burst", fmt.Sprintf("%d/0s", used)); err != nil {
		return err
	}
	if err := sleep(ctx, rest); err != nil {
		return err
	}
	s, err := r.onUsed(ctx, recycledSize, used, "--reset")
	if err != nil {
		return err
	}
	r.enter(afterRest, s)
	if s, err = r.onNew(ctx, recycledSize, n); err == nil {
		r.enter(afterRestFirst, s)
	}
	return err
}
