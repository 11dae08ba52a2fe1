package lab

import (
	"context"
	"strings"
	"syscall"
	"time"
)

// gatewayCrash compares all kernel state of home that the gateway may change.
func gatewayCrash(ctx context.Context, t *trial) error {
	home := t.Network.Host("home")
	clean, err := home.kernelState()
	if err != nil {
		return err
	}
	if err := t.begin(ctx); err != nil {
		return err
	}
	running, err := home.kernelState()
	if err != nil {
		return err
	}
	t.check("the gateway manages the links", len(difference(clean, running)) > 0, "%d changes", len(difference(clean, running)))
	t.step(2*time.Second, "kill the gateway under load")
	done := make(chan error, 1)
	go func() {
		_, err := Download(ctx, t.through(endless, 0))
		done <- err
	}()
	err = sleep(ctx, time.Second)
	t.StopGateway(syscall.SIGKILL)
	<-done
	if err != nil {
		return err
	}
	t.step(5*time.Second, "start it again")
	if err := t.StartGateway(ctx); err != nil {
		return err
	}
	if err := t.Warm(ctx); err != nil {
		return err
	}
	t.fetch(ctx, "a download works after the crash", 10e6)
	again, err := home.kernelState()
	if err != nil {
		return err
	}
	t.same("nothing is doubled or missing after the crash", running, again)
	if err := t.stopBusyGateway(ctx); err != nil {
		return err
	}
	left, err := home.kernelState()
	if err != nil {
		return err
	}
	t.same("nothing is left after a stop", clean, left)
	return nil
}

// stopBusyGateway stops the gateway while a download has a second to go, which it
// gets.
func (t *trial) stopBusyGateway(ctx context.Context) error {
	t.step(3*time.Second, "stop it at the end of a download")
	const length = 5e6
	type outcome struct {
		Result
		error
	}
	done := make(chan outcome, 1)
	go func() {
		ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
		defer cancel()
		r, err := Download(ctx, t.through(bytesURL(length), 0))
		done <- outcome{r, err}
	}()
	err := sleep(ctx, 600*time.Millisecond)
	stopped := t.StopGateway(syscall.SIGTERM)
	o := <-done
	t.check("the gateway ends in good order", stopped == nil, "%v", orOK(stopped))
	t.check("a download that is nearly done is let through", o.error == nil && o.SHA256 == Sum(length), "%.1f of 5 MB %v", mega(uint64(o.Bytes)), orOK(o.error))
	return err
}

// same checks that two states are the same.
func (t *trial) same(name string, want, got []string) {
	diff := difference(want, got)
	t.check(name, len(diff) == 0, "%s", strings.Join(diff, "; "))
}

// difference lists the lines of which a and b have different numbers.
func difference(a, b []string) (diff []string) {
	count := make(map[string]int)
	for _, line := range b {
		count[line]++
	}
	for _, line := range a {
		if count[line]--; count[line] < 0 {
			diff = append(diff, "- "+line)
		}
	}
	for _, line := range b {
		if count[line] > 0 {
			count[line]--
			diff = append(diff, "+ "+line)
		}
	}
	return diff
}
