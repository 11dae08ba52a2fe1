package measure

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Chosen by us.
const (
	// connectionTime bounds one connection, from its SYN to its last byte.
	connectionTime = time.Minute
	// resolveTime bounds the one look-up before the clock starts.
	resolveTime = 10 * time.Second
)

// A Setup is what to measure. Each connection fetches the target once.
type Setup struct {
	Target Target
	Via    Via
	// Pipelined sends the whole SOCKS5 opening with the request behind it at once,
	// in place of one step after the other. Not every server takes that.
	Pipelined bool
	// Multipath dials with MPTCP.
	Multipath bool
	// Reset ends each connection with a reset, so that no proxy on the way uses what it
	// has opened for it a second time.
	Reset bool
	// Pause is waited between two connections that follow each other.
	Pause time.Duration
	// Sizes are those of the answers, one after the other; none is whatever the
	// target answers.
	Sizes []int64
	// Count is how many connections to make for each size, one after the other.
	Count int
	// Opens, if not 0, makes a burst in place of that: so many connections, evenly
	// over Within.
	Opens  int
	Within time.Duration
	// Progress is told how many connections of all are through; nil does without.
	// It is called by several goroutines in a burst.
	Progress func(done, of int)
}

// ErrNothing says that not one connection worked.
var ErrNothing = errors.New("no connection worked")

// Check tells what cannot be measured.
func (s Setup) Check() error {
	switch {
	case s.Pipelined && s.Via.Protocol != "socks5":
		return errors.New("only SOCKS5 can be pipelined")
	case len(s.Sizes) > 0 && !s.Target.Sized():
		return errors.New("sizes need a target with %d where the size goes")
	case len(s.Sizes) == 0 && s.Target.Sized():
		return errors.New("a target with %d needs sizes")
	case s.Opens == 0 && s.Count < 1:
		return errors.New("nothing to do: want one connection at least")
	case s.Opens < 0 || s.Within < 0:
		return errors.New("a burst cannot be negative")
	case s.Pause < 0:
		return errors.New("a pause cannot be negative")
	case s.Pause > 0 && s.Opens > 0:
		return errors.New("a burst has no pauses")
	}
	return nil
}

// Run measures. It fails with [ErrNothing] and the first connection's error if not
// one worked; what failed otherwise is in the report.
func (s Setup) Run(ctx context.Context) (*Report, error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	to, err := s.resolve(ctx)
	if err != nil {
		return nil, err
	}
	r := &Report{
		Target: "http://" + s.Target.host + s.Target.path, Via: s.Via.String(), Password: s.Via.User != "",
		Pipelined: s.Pipelined, Multipath: s.Multipath, Opens: s.Opens, WithinMs: ms(s.Within),
		Reset: s.Reset, PauseMs: ms(s.Pause),
	}
	sizes := s.Sizes
	if len(sizes) == 0 {
		sizes = []int64{-1}
	}
	all := len(sizes) * max(s.Count, s.Opens)
	var first error
	worked := false
	for _, size := range sizes {
		samples, err := s.one(ctx, to, size, func(done int) {
			if s.Progress != nil {
				s.Progress(len(r.Runs)*all/len(sizes)+done, all)
			}
		})
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if first == nil {
			first = err
		}
		run := newRun(size, samples, s.Multipath)
		worked = worked || run.Failed < len(samples)
		r.Runs = append(r.Runs, run)
	}
	if !worked {
		return r, fmt.Errorf("%w: %w", ErrNothing, first)
	}
	return r, nil
}

// resolve finds the address to dial, which is the proxy's if there is one.
func (s Setup) resolve(ctx context.Context) (netip.AddrPort, error) {
	to := s.Target.To
	if s.Via.Protocol != "" {
		to = s.Via.Server
	}
	if !to.IsName() {
		return netip.AddrPortFrom(to.IP(), to.Port()), nil
	}
	ctx, cancel := context.WithTimeout(ctx, resolveTime)
	defer cancel()
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", to.Host())
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("resolve %s: %w", to.Host(), err)
	}
	return netip.AddrPortFrom(addrs[0].Unmap(), to.Port()), nil
}

// one makes all connections for one size and returns the first error.
func (s Setup) one(ctx context.Context, to netip.AddrPort, size int64, progress func(done int)) ([]Sample, error) {
	began := time.Now()
	n := max(s.Count, s.Opens)
	samples, errs := make([]Sample, n), make([]error, n)
	var mu sync.Mutex
	done := 0
	open := func(i int) {
		start := time.Now()
		samples[i], errs[i] = s.connection(ctx, to, size)
		samples[i].StartMs = ms(start.Sub(began))
		mu.Lock()
		defer mu.Unlock()
		done++
		progress(done)
	}
	var burst sync.WaitGroup
	defer burst.Wait()
	for i := range n {
		if ctx.Err() != nil {
			break
		}
		if s.Opens == 0 {
			if i > 0 {
				wait(ctx, s.Pause)
			}
			open(i)
			continue
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Until(began.Add(s.Within * time.Duration(i) / time.Duration(n)))):
			burst.Go(func() { open(i) })
		}
	}
	burst.Wait()
	for _, err := range errs {
		if err != nil {
			return samples, err
		}
	}
	return samples, nil
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

func ms(d time.Duration) float64 { return float64(d.Round(time.Microsecond).Microseconds()) / 1000 }
