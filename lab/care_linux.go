package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// What the gateway has to care for meanwhile, and what that may cost.
const (
	careSessions = 1000
	careBusy     = 4 // of them
	careMbit     = 2 // each of these
	carePercent  = 2 // of a core
	ticksPerS    = 100
)

// careConfig has four links.
func careConfig() Config {
	var c Config
	for i, name := range []string{"dsl", "cable", "lte", "radio"} {
		c.Links = append(c.Links, LinkConfig{name, Line(30, 10, time.Duration(30+10*i)*time.Millisecond)})
	}
	return c
}

// care measures the gateway's processor time with many sessions, most of them at
// rest, with link care and without. Where it has no right to change the network it
// cares for no link, and does all else.
func care(ctx context.Context, t *trial) error {
	if err := allowFiles(4 * careSessions); err != nil {
		return err
	}
	plain, err := t.beside(ctx)
	if err != nil {
		return err
	}
	without, err := plain.careCost(ctx, "without link care")
	if err != nil {
		return err
	}
	with, err := t.careCost(ctx, "with link care")
	if err != nil {
		return err
	}
	t.figure("sessions", careSessions, "", nil)
	t.figure("all at rest, the whole gateway", with.rest, "% of a core", atMost(carePercent))
	t.figure("all at rest, without link care", without.rest, "% of a core", nil)
	t.figure(fmt.Sprintf("%d busy, the whole gateway", careBusy), with.busy, "% of a core", nil)
	t.figure(fmt.Sprintf("%d busy, without link care", careBusy), without.busy, "% of a core", nil)
	t.figure("link care, all at rest", with.rest-without.rest, "% of a core", atMost(carePercent))
	t.figure(fmt.Sprintf("link care, %d busy", careBusy), with.busy-without.busy, "% of a core", atMost(carePercent))
	return nil
}

// A careTimes is processor time of the gateway in percent of a core.
type careTimes struct{ rest, busy float64 }

// careCost starts the programs, measures, and stops them, so that the next ones have
// the machine to themselves.
func (t *trial) careCost(ctx context.Context, name string) (c careTimes, err error) {
	if err := t.begin(ctx); err != nil {
		return c, err
	}
	t.step(10*time.Second, "open %d sessions, %s", careSessions, name)
	sessions, err := t.hold(ctx)
	defer func() {
		for _, s := range sessions {
			s.Close()
		}
	}()
	if err != nil {
		return c, err
	}
	// What opening them has caused is over then.
	if err := sleep(ctx, 8*time.Second); err != nil {
		return c, err
	}
	t.step(t.length, "all of them rest, %s", name)
	if c.rest, err = t.processorOf(ctx, t.gateway.Process.Pid); err != nil {
		return c, err
	}
	t.step(t.length, "%d of them are busy, %s", careBusy, name)
	busy, stop := context.WithCancel(ctx)
	var downloads sync.WaitGroup
	for range careBusy {
		downloads.Go(func() {
			Download(busy, t.through(fmt.Sprintf("http://%s/slow?rate=%d", ServerName, careMbit), time.Minute))
		})
	}
	c.busy, err = t.processorOf(ctx, t.gateway.Process.Pid)
	stop()
	downloads.Wait()
	return c, errors.Join(err, t.StopGateway(syscall.SIGKILL), t.StopRelay(syscall.SIGKILL))
}

// hold opens the sessions, each of which has carried a byte both ways.
func (t *trial) hold(ctx context.Context) (open []net.Conn, err error) {
	const threads = 10
	var dialing sync.WaitGroup
	var mu sync.Mutex
	for range threads {
		dialing.Go(func() {
			derr := t.Network.Host("home").Do(func() error {
				for range careSessions / threads {
					c, err := (&net.Dialer{}).DialContext(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", ProxyPort))
					if err != nil {
						return err
					}
					mu.Lock()
					open = append(open, c)
					mu.Unlock()
					c.SetDeadline(time.Now().Add(20 * time.Second))
					if err := useEcho(c); err != nil {
						return err
					}
				}
				return nil
			})
			mu.Lock()
			defer mu.Unlock()
			err = errors.Join(err, derr)
		})
	}
	dialing.Wait()
	return open, err
}

// processorOf measures a process for the scenario's length.
func (t *trial) processorOf(ctx context.Context, pid int) (percent float64, err error) {
	before, err := processTicks(pid)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	if err := sleep(ctx, t.length); err != nil {
		return 0, err
	}
	took := time.Since(began)
	after, err := processTicks(pid)
	return 100 * (after - before) / ticksPerS / took.Seconds(), err
}

// processTicks reads what a process has used of processors, itself and for it in the
// kernel: fields 14 and 15 of proc_pid_stat(5), in hundredths of a second.
func processTicks(pid int) (sum float64, err error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := bytes.Cut(b, []byte(") ")) // after the name, which may have spaces
	fields := bytes.Fields(rest)
	if len(fields) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat holds %q", pid, b)
	}
	for _, f := range fields[11:13] {
		n, err := strconv.ParseFloat(string(f), 64)
		if err != nil {
			return 0, fmt.Errorf("/proc/%d/stat: %w", pid, err)
		}
		sum += n
	}
	return sum, nil
}
