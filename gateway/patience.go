package gateway

import (
	"context"
	"errors"
	"sync"
	"time"
)

const (
	// patience is how much longer a request may wait than it does where nothing at
	// all is heard of the relay: with a narrow line full of others, each packet of a
	// handshake can be lost several times. With it, a request ends within 20 s, about
	// what clients of SOCKS wait for.
	patience = 15 * time.Second

	// answerPatience is the same for the relay's answer.
	answerPatience = 30 * time.Second
)

var errUnheard = errors.New("the relay was not heard in time")

// givenUp returns when to give up what was to be there by a time: then, or while the
// relay is heard over any link, once it has not been for as long, but not later than
// most after that. A way over which something comes is slow, not dead.
func givenUp(by, heard time.Time, silence, most time.Duration) time.Time {
	end := heard.Add(silence)
	if last := by.Add(most); end.After(last) {
		end = last
	}
	if end.Before(by) {
		end = by
	}
	return end
}

// whenGivenUp calls f when that time has come, unless it is stopped before. What is
// heard later than by puts it off, as in givenUp.
func (u *upstream) whenGivenUp(by time.Time, silence, most time.Duration, f func()) (stop func()) {
	var mu sync.Mutex
	var timer *time.Timer
	stopped := false
	mu.Lock()
	defer mu.Unlock()
	timer = time.AfterFunc(time.Until(by), func() {
		mu.Lock()
		defer mu.Unlock()
		if stopped {
			return
		}
		if u.heard != nil {
			if wait := time.Until(givenUp(by, u.heard(), silence, most)); wait > 0 {
				timer.Reset(wait)
				return
			}
		}
		f()
	})
	return func() {
		mu.Lock()
		defer mu.Unlock()
		stopped = true
		timer.Stop()
	}
}

// patient returns a context for a connection that is to be there by a time, or as
// much later as the relay is heard. Its cause is errUnheard then.
func (u *upstream) patient(ctx context.Context, by time.Time) (context.Context, context.CancelFunc) {
	ctx, end := context.WithDeadline(ctx, by.Add(patience))
	ctx, cancel := context.WithCancelCause(ctx)
	stop := u.whenGivenUp(by, openTime, patience, func() { cancel(errUnheard) })
	return ctx, func() {
		stop()
		cancel(nil)
		end()
	}
}

// lastHeard returns when anything was last received from the relay by a subflow, as
// far as the looks have seen.
func (f *flows) lastHeard() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.heardAt
}
