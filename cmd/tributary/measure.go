package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"tributary/measure"
)

const measureUsage = `
tributary measure setup      [OPTION]... URL
tributary measure throughput [OPTION]...
tributary measure handover   [OPTION]...

The instrument. setup needs no relay and no gateway: any SOCKS5 server or HTTP
proxy will do, or none. The others are for the gateway on this host; each has a
--help of its own.

throughput  what each link carries alone, all at the same time, and as a bundle
handover    what becomes of a transfer while a link is lost

setup  times connections from the SYN to the first and the last byte of the
       answer, each step of the proxy's handshake on its own. URL is
       http://HOST[:PORT]/PATH; a %d in it stands for the size of the answer:

tributary measure setup --count 20 http://example.net/
tributary measure setup --via socks5://127.0.0.1:1080 --burst 50/2s http://example.net/
tributary measure setup --size 1k,1M,10M --svg time.svg 'http://example.net/bytes?n=%d'`

func runMeasure(ctx context.Context, std stdio, args []string) error {
	if len(args) > 0 {
		switch args[0] {
		case "throughput":
			return runThroughput(ctx, std, args[1:])
		case "handover":
			return runHandover(ctx, std, args[1:])
		}
	}
	fs := newFlags("measure", measureUsage, std)
	s := measure.Setup{}
	via := fs.String("via", "direct", "the `WAY`: direct, socks5://[USER:PASSWORD@]HOST:PORT or http://[USER:PASSWORD@]HOST:PORT")
	fs.BoolVar(&s.Pipelined, "pipelined", false, "send the whole SOCKS5 handshake and the request at once")
	fs.BoolVar(&s.Multipath, "mptcp", false, "dial with Multipath TCP")
	fs.IntVar(&s.Count, "count", 10, "how many connections for each size, one after the other")
	fs.DurationVar(&s.Pause, "pause", 0, "wait so long between two connections that follow each other")
	fs.BoolVar(&s.Reset, "reset", false, "end connections with a reset, so that no proxy uses what it opened for one a second time")
	burst := fs.String("burst", "", "in place of --count: `N/DURATION` opens N connections evenly over a time, e.g. 50/2s")
	sizes := fs.String("size", "", "`LIST` of sizes of the answers, e.g. 1k,20k,10M")
	asJSON := fs.Bool("json", false, "print one JSON document")
	picture := fs.String("svg", "", "draw the result into a `FILE`")
	rest, err := parseSome(fs, args)
	if err != nil {
		return err
	}
	way := strings.Clone(*via) // hidePassword overwrites the original
	hidePassword(way)
	if len(rest) == 0 || rest[0] != "setup" {
		return measureUsageError("what to measure is missing: setup, throughput or handover")
	}
	if len(rest) != 2 {
		// Not shown: it may be a proxy with its password, given in the wrong place.
		return measureUsageError("want one URL, got %d", len(rest)-1)
	}
	if s.Target, err = measure.ParseTarget(rest[1]); err == nil {
		s.Via, err = measure.ParseVia(way)
	}
	if err == nil && *sizes != "" {
		s.Sizes, err = measure.ParseSizes(*sizes)
	}
	if err == nil && *burst != "" {
		s.Count = 0
		s.Opens, s.Within, err = parseBurst(*burst)
	}
	if err == nil {
		err = s.Check()
	}
	if err != nil {
		return measureUsageError("%w", err)
	}
	return measureSetup(ctx, std, s, *asJSON, *picture)
}

func measureUsageError(format string, args ...any) error {
	return &usageError{fmt.Errorf("measure: "+format, args...), "tributary measure --help"}
}

// hidePassword takes the proxy's password out of the list of processes.
func hidePassword(via string) {
	u, err := url.Parse(via)
	if err != nil || u.User == nil {
		return
	}
	user, _, _ := strings.Cut(strings.TrimPrefix(via, u.Scheme+"://"), "@")
	if _, password, ok := strings.Cut(user, ":"); ok {
		hideSecret(password)
	}
}

// parseBurst reads N/DURATION.
func parseBurst(text string) (opens int, within time.Duration, err error) {
	n, d, _ := strings.Cut(text, "/")
	opens, err = strconv.Atoi(n)
	if err == nil {
		within, err = time.ParseDuration(d)
	}
	if err != nil || opens < 1 || within < 0 {
		return 0, 0, errors.New("burst: want N/DURATION such as 50/2s")
	}
	return opens, within, nil
}

func measureSetup(ctx context.Context, std stdio, s measure.Setup, asJSON bool, picture string) error {
	if isTerminal(std.err) {
		s.Progress = func(done, of int) { fmt.Fprintf(std.err, "\r\x1b[K%d of %d connections", done, of) }
	}
	r, err := s.Run(ctx)
	if s.Progress != nil {
		fmt.Fprint(std.err, "\r\x1b[K")
	}
	switch {
	case ctx.Err() != nil:
		return errors.New("measure: interrupted")
	case err != nil:
		return fmt.Errorf("measure: %w", err)
	}
	if err := deliver(std, r, r.Print, asJSON, picture, r.SVG); err != nil {
		return err
	}
	failed := 0
	for _, run := range r.Runs {
		failed += run.Failed
	}
	if failed > 0 {
		return fmt.Errorf("measure: %d connections failed", failed)
	}
	return nil
}
