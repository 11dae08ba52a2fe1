package main

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"time"

	"tributary/config"
	"tributary/dashboard/screen"
	"tributary/gateway"
)

const topUsage = `
tributary top [--api ADDR:PORT]

A live view of the gateway at --api, for a terminal of 60 columns and 15 rows or
more: its links with their rates of the last minute, its sessions with their
subflows, and what was decided last. Keys: q quits, s sorts, e shows subflows,
arrows scroll, ? helps.`

const (
	// topEvery is how often the gateway is asked.
	topEvery = time.Second

	// topSessions is how many sessions it is asked for: more than anybody scrolls
	// through while they change.
	topSessions = 200
)

func runTop(ctx context.Context, std stdio, args []string) error {
	fs := newFlags("top", topUsage, std)
	at := config.Default().API
	fs.Var(addrPortFlag{&at}, "api", "where the gateway serves its status")
	if err := parse(fs, args); err != nil {
		return err
	}
	if !isTerminal(std.out) || os.Getenv("TERM") == "dumb" {
		return &usageError{errors.New("top: the output is no terminal to draw on"), "tributary status --watch shows the same one below the other"}
	}
	api := newAPIClient(at)
	first := api.ask(ctx)
	if first.err != nil {
		return first.err
	}
	term, err := openScreen(std.out)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	v := &topView{Top: screen.Top{Address: api.at.String(), Zone: time.Local}, term: term, look: lookOf(std.out)}
	var helpers sync.WaitGroup
	defer helpers.Wait()
	defer term.close() // also when something panics; ends the reading of keys
	defer stop()
	v.take(first)
	answers := make(chan answer)
	helpers.Go(func() { defer term.onPanic(); api.follow(ctx, answers) })
	go func() { defer term.onPanic(); term.read(ctx) }()
	return v.run(ctx, answers)
}

// An answer is what became of a question.
type answer struct {
	status *gateway.Status
	err    error
}

func (c *apiClient) ask(ctx context.Context) (a answer) {
	body, err := c.status(ctx, true, topSessions)
	if err == nil {
		a.status, err = c.parse(body)
	}
	a.err = err
	return a
}

// follow asks again and again until ctx ends.
func (c *apiClient) follow(ctx context.Context, to chan<- answer) {
	tick := time.NewTicker(topEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		select {
		case to <- c.ask(ctx):
		case <-ctx.Done():
			return
		}
	}
}

// A topView is one call of "tributary top".
type topView struct {
	screen.Top
	term *screenTerminal
	look screen.Look
}

// run draws until somebody quits, or ctx ends, which is no error.
func (v *topView) run(ctx context.Context, answers <-chan answer) error {
	tick := time.NewTicker(topEvery)
	defer tick.Stop()
	for {
		if err := v.draw(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case a := <-answers:
			v.take(a)
		case keys, ok := <-v.term.keys:
			if !ok {
				return nil // the terminal has gone
			}
			for _, k := range screen.Keys(keys) {
				switch {
				case k == screen.Suspend:
					if err := v.term.suspend(); err != nil {
						return err
					}
				case v.Press(k):
					return nil
				}
			}
		case <-v.term.stopped: // by SIGTSTP
			if err := v.term.suspend(); err != nil {
				return err
			}
		case <-v.term.resized:
		case <-tick.C: // somebody waits for an answer, and time passes
		}
	}
}

func (v *topView) take(a answer) {
	if a.err != nil {
		v.Fail(a.err.Error(), time.Now())
		return
	}
	v.Answer(a.status, time.Now())
}

func (v *topView) draw() error {
	width, height, ok := v.term.size()
	if !ok {
		width, height = 80, 24
	}
	var b strings.Builder
	b.WriteString("\x1b[H")
	for i, l := range v.Frame(width, height, time.Now()) {
		if i > 0 {
			b.WriteString("\r\n")
		}
		b.WriteString(v.look.Text(l) + "\x1b[K")
	}
	return v.term.write(b.String())
}
