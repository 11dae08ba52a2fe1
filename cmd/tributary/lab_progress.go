package main

import (
	"fmt"
	"io"
	"sync"
	"time"

	"tributary/lab"
)

// A progress is a line on stderr while the lab works: on a terminal one that
// moves, elsewhere a line for each step.
type progress struct {
	w        io.Writer
	terminal bool
	quit     chan struct{}
	drawer   sync.WaitGroup

	mu    sync.Mutex
	now   lab.Step
	since time.Time
	began bool
}

func newProgress(w io.Writer) *progress {
	p := &progress{w: w, terminal: isTerminal(w), quit: make(chan struct{})}
	if p.terminal {
		p.drawer.Go(p.draw)
	}
	return p
}

func (p *progress) step(s lab.Step) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now, p.since, p.began = s, time.Now(), true
	if !p.terminal {
		fmt.Fprintf(p.w, "%3.0f %%  %s\n", 100*s.From, s.Doing)
	}
}

// draw redraws the line until close. A step's share is passed at its usual speed
// but never overtaken.
func (p *progress) draw() {
	ticks := time.NewTicker(100 * time.Millisecond)
	defer ticks.Stop()
	spinner := []rune("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏")
	for i := 0; ; i++ {
		select {
		case <-p.quit:
			fmt.Fprint(p.w, "\r\x1b[K")
			return
		case <-ticks.C:
		}
		p.mu.Lock()
		share := p.now.From
		if p.now.Takes > 0 {
			passed := min(1, time.Since(p.since).Seconds()/p.now.Takes.Seconds())
			share += passed * (p.now.To - p.now.From)
		}
		if p.began {
			fmt.Fprintf(p.w, "\r\x1b[K%c %3.0f %%  %s", spinner[i%len(spinner)], 100*share, p.now.Doing)
		}
		p.mu.Unlock()
	}
}

// close removes the line.
func (p *progress) close() {
	close(p.quit)
	p.drawer.Wait()
}
