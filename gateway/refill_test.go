package gateway

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// A line on which each connection that is being made delays the others.
func TestRefillSparesASlowLine(t *testing.T) {
	for name, tt := range map[string]struct {
		delay       time.Duration // for each other one
		least, most int           // at once, in the end
		within      time.Duration // to make fifty
	}{
		"fast": {0, refillFirst + 2, refillMost, time.Second},
		"slow": {15 * time.Millisecond, 2, 7, 3 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				running, most := 0, 0
				real := w.pool.make
				w.pool.make = func(ctx context.Context) (*relayConn, error) {
					w.mu.Lock()
					running++
					most = max(most, running)
					wait := time.Duration(running) * tt.delay
					w.mu.Unlock()
					time.Sleep(wait)
					defer func() {
						w.mu.Lock()
						running--
						w.mu.Unlock()
					}()
					return real(ctx)
				}
				w.fill(t)
				take := func() {
					for range 40 {
						if c := w.pool.take(); c != nil {
							c.Close()
						}
					}
					w.mu.Lock()
					most = 0
					w.mu.Unlock()
					began := time.Now()
					for w.warm() < 50 && time.Since(began) < time.Minute {
						time.Sleep(10 * time.Millisecond)
					}
					if d := time.Since(began); d > tt.within {
						t.Errorf("refilled after %v", d)
					}
				}
				take() // it learns the line
				time.Sleep(time.Minute)
				take()
				synctest.Wait()
				w.mu.Lock()
				defer w.mu.Unlock()
				if most < tt.least || most > tt.most {
					t.Errorf("%d at once, want %d to %d", most, tt.least, tt.most)
				}
			})
		})
	}
}
