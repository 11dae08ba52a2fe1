package lab

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"
)

// answerLimit is what a client may wait for the news that the relay is down.
const answerLimit = 5 * time.Second

func relayRestart(ctx context.Context, t *trial) error {
	if err := t.begin(ctx); err != nil {
		return err
	}
	for _, end := range []struct {
		how string
		sig syscall.Signal
	}{{"stopped", syscall.SIGTERM}, {"killed", syscall.SIGKILL}} {
		if err := t.loseRelay(ctx, end.how, end.sig); err != nil {
			return err
		}
		if err := t.whileDown(ctx, end.how); err != nil {
			return err
		}
		t.step(5*time.Second, "start the relay again")
		if err := t.StartRelay(ctx); err != nil {
			return err
		}
		if err := t.worksAgain(ctx, end.how); err != nil {
			return err
		}
		t.fifty(ctx, "50 requests after it was "+end.how)
	}
	t.step(3*time.Second, "restart the relay while nobody asks")
	if err := t.Warm(ctx); err != nil {
		return err
	}
	if err := t.StopRelay(syscall.SIGKILL); err != nil {
		return err
	}
	if err := t.StartRelay(ctx); err != nil {
		return err
	}
	t.fifty(ctx, "50 requests at once after a quick restart")
	return nil
}

// loseRelay ends the relay during a download, which has to end in a reset.
func (t *trial) loseRelay(ctx context.Context, how string, sig syscall.Signal) error {
	t.step(5*time.Second, "the relay is %s under load", how)
	done := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
		defer cancel()
		_, err := Download(ctx, t.through(endless, 0))
		done <- err
	}()
	if err := sleep(ctx, 2*time.Second); err != nil {
		return errors.Join(err, <-done)
	}
	began := time.Now()
	stopped := t.StopRelay(sig)
	took := time.Since(began)
	err := <-done
	t.check("relay "+how+": it ends in good order", stopped == nil, "%v", orOK(stopped))
	t.figure("relay "+how+": it ended after", ms(took), "ms", nil)
	t.check("relay "+how+": a live session gets a reset", errors.Is(err, syscall.ECONNRESET), "%v", err)
	return ctx.Err()
}

func orOK(err error) any {
	if err == nil {
		return ""
	}
	return err
}

// whileDown asks for a server that the gateway does not know, which needs the truth.
func (t *trial) whileDown(ctx context.Context, how string) error {
	t.step(3*time.Second, "ask while the relay is away")
	want := map[asker]refusedCode{askSOCKS5: 1, askSOCKS4a: 91, askHTTP: 503}
	for _, by := range []asker{askSOCKS5, askSOCKS4a, askHTTP} {
		limited, cancel := context.WithTimeout(ctx, 2*answerLimit)
		began := time.Now()
		c, err := t.ask(limited, by, WWWName, PortEcho)
		took := time.Since(began)
		cancel()
		if err == nil {
			c.Close()
		}
		t.check(fmt.Sprintf("relay %s: %s says so within 5 s", how, by), err == want[by] && took < answerLimit, "%v after %.1f s", err, took.Seconds())
	}
	return ctx.Err()
}

// worksAgain measures when the first request works.
func (t *trial) worksAgain(ctx context.Context, how string) error {
	began := time.Now()
	for {
		limited, cancel := context.WithTimeout(ctx, answerLimit)
		c, err := t.echo(limited, askSOCKS5)
		cancel()
		took := time.Since(began)
		if err == nil {
			c.Close()
		}
		if err == nil || took > 4*answerLimit || ctx.Err() != nil {
			t.figure("relay "+how+": new requests work after", ms(took), "ms", atMost(2000))
			t.check("relay "+how+": new requests work soon", err == nil && took < answerLimit, "%v", orOK(err))
			return ctx.Err()
		}
		if err := sleep(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
}

// fifty makes 50 requests, ten at a time, that must all succeed.
func (t *trial) fifty(ctx context.Context, what string) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	var wg sync.WaitGroup
	var mu sync.Mutex
	var failed int
	var first error
	var slowest time.Duration
	for range 10 {
		wg.Go(func() {
			for range 5 {
				r, err := Download(ctx, t.through("http://"+ServerName+"/hello", 0))
				mu.Lock()
				if err != nil {
					failed++
					if first == nil {
						first = err
					}
				}
				slowest = max(slowest, r.FirstByte)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	t.figure(what+": the slowest", ms(slowest), "ms", nil)
	t.check(what+" all succeed", failed == 0, "%d failed %v", failed, orOK(first))
}
