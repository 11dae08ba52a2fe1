package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"tributary/config"
	"tributary/dashboard/screen"
	"tributary/gateway"
)

const statusUsage = `
tributary status [--api ADDR:PORT] [--json] [--sessions] [--watch [SECONDS]]

Links, relay, sessions and pool of the gateway at --api: what is and why. The
table fits the terminal, or 80 columns. STATE is how a link is, FOR since when,
ROLE the part it plays; LOSS is that of probes, DOWN and UP are what it carries
now, SHARE is its part of that. Colours are for terminals, and never where
NO_COLOR is set.

--watch shows it again and again, every 2 seconds or as many as are given: in
place on a terminal, else one below the other. Ctrl-C ends it.`

// A statusView is one call of "tributary status".
type statusView struct {
	std      stdio
	api      *apiClient
	json     bool
	sessions bool
}

func runStatus(ctx context.Context, std stdio, args []string) error {
	fs := newFlags("status", statusUsage, std)
	at := config.Default().API
	v := &statusView{std: std}
	fs.Var(addrPortFlag{&at}, "api", "where the gateway serves its status")
	fs.BoolVar(&v.json, "json", false, "print one JSON document")
	fs.BoolVar(&v.sessions, "sessions", false, "show the open sessions and their subflows too")
	var every time.Duration
	fs.Var(secondsFlag{&every}, "watch", "show it every so many `SECONDS`")
	rest, err := parseSome(fs, args)
	if err != nil {
		return err
	}
	if len(rest) > 0 && every > 0 && (secondsFlag{&every}).Set(rest[0]) == nil { // "--watch 5"
		rest = rest[1:]
	}
	if len(rest) > 0 {
		return &usageError{fmt.Errorf("status: unexpected argument %q", rest[0]), "tributary status --help"}
	}
	v.api = newAPIClient(at)
	if every == 0 {
		return v.once(ctx)
	}
	return v.watch(ctx, every)
}

func (v *statusView) once(ctx context.Context) error {
	text, err := v.show(ctx)
	if err != nil {
		return err
	}
	_, err = io.WriteString(v.std.out, text)
	return err
}

// watch shows it until ctx ends, which is no error. A gateway that is not there at
// the beginning is one; one that goes away later is waited for.
func (v *statusView) watch(ctx context.Context, every time.Duration) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	p := &poster{out: v.std.out, terminal: isTerminal(v.std.out) && !v.json}
	for first := true; ; first = false {
		text, err := v.show(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && first:
			return err
		case err != nil:
			p.post("", fmt.Sprintf("%s  %v; asking again\n", time.Now().Format(time.TimeOnly), err), v.std.err)
		default:
			head := ""
			if !v.json {
				head = time.Now().Format(time.TimeOnly) + "\n"
			}
			if err := p.post(head, text, v.std.out); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// show asks, and returns what is to be shown.
func (v *statusView) show(ctx context.Context) (string, error) {
	body, err := v.api.status(ctx, v.sessions, gateway.SessionsMost)
	if err != nil {
		return "", err
	}
	if v.json {
		return string(body), nil
	}
	s, err := v.api.parse(body)
	if err != nil {
		return "", err
	}
	if v.sessions && s.Sessions.List == nil {
		s.Sessions.List = []gateway.Session{}
		s.Sessions.LeftOut = s.Sessions.Open
	}
	width := 80
	if w, _, ok := terminalSize(v.std.out); ok {
		width = max(60, w)
	}
	look := lookOf(v.std.out)
	var b strings.Builder
	for _, l := range screen.Status(s, time.Now(), time.Local, width) {
		b.WriteString(look.Text(l) + "\n")
	}
	return b.String(), nil
}

// A poster puts texts on a terminal, each in the place of the one before, and on
// other outputs one below the other.
type poster struct {
	out      io.Writer
	terminal bool
	posted   bool
	rows     int // of the last one
}

// post shows a text with a head. Where it is no terminal, the text goes to out, which
// may be another one than usual.
func (p *poster) post(head, text string, out io.Writer) error {
	if !p.terminal {
		if p.posted && head != "" {
			head = "\n" + head
		}
		p.posted = true
		_, err := io.WriteString(out, head+text)
		return err
	}
	width, height, ok := terminalSize(p.out)
	if !ok {
		width, height = 80, 24
	}
	text = firstRows(head+text, width, height-1) // what has scrolled away cannot be replaced
	again := ""
	if p.rows > 0 {
		again = fmt.Sprintf("\x1b[%dA\r\x1b[J", p.rows)
	}
	p.rows = rows(text, width)
	_, err := io.WriteString(p.out, again+text)
	return err
}

// firstRows returns as many lines of a text as a window has rows for, and says when
// that is not all.
func firstRows(text string, width, height int) string {
	if rows(text, width) <= height {
		return text
	}
	cut, left := "", height-1
	for l := range strings.Lines(text) {
		if left -= rows(l, width); left < 0 {
			break
		}
		cut += l
	}
	return cut + "...\n"
}

// rows is how many rows of a window of that width whole lines of text take, colours
// not counted.
func rows(text string, width int) (n int) {
	for l := range strings.Lines(text) {
		n += max(1, (visible(l)+width-1)/width)
	}
	return n
}

// visible is how many columns a line takes, without its colours and its end.
func visible(line string) (n int) {
	in := false
	for _, r := range strings.TrimSuffix(line, "\n") {
		switch {
		case r == 0x1b:
			in = true
		case in:
			in = r != 'm'
		default:
			n++
		}
	}
	return n
}

// secondsFlag is a flag that may stand alone.
type secondsFlag struct{ *time.Duration }

func (f secondsFlag) String() string { return "" }

func (f secondsFlag) IsBoolFlag() bool { return true }

func (f secondsFlag) Set(s string) error {
	const usual = 2 * time.Second
	if s == "true" {
		*f.Duration = usual
		return nil
	}
	n, err := strconv.ParseFloat(s, 64)
	if err != nil || !(n >= 0.1 && n <= 86400) {
		return errors.New("want 0.1 to 86400 seconds")
	}
	*f.Duration = time.Duration(n * float64(time.Second))
	return nil
}
