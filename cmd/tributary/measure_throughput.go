package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"tributary/config"
	"tributary/measure"
	"tributary/measure/throughput"
	"tributary/measure/transfer"
)

const throughputUsage = `
tributary measure throughput [OPTION]...

What the links of the gateway on this host carry: each alone, all at the same
time, and the bundle of them, with a verdict in words. The other end is the
gateway's own relay. Both directions, unless --down or --up says which.

Needs the gateway's join link, and so its user's rights (sudo), to measure links
alone; without it, just the bundle is measured. Metered links are left out unless
--metered.`

// meteredBytes is the default of --bytes where a metered link is measured: what shows
// the rate of a link of up to 30 Mbit/s.
const meteredBytes = 30e6

// A throughputCall is one call of "measure throughput".
type throughputCall struct {
	std     stdio
	config  config.Config
	join    string
	only    []string
	run     throughput.Run
	metered bool
	json    bool
	picture string
}

func runThroughput(ctx context.Context, std stdio, args []string) error {
	t := &throughputCall{std: std}
	var size string
	var err error
	t.config, err = parseOver("measure throughput", throughputUsage, std, args, func(fs *flag.FlagSet, c *config.Config) {
		bindGateway(fs, c, &t.join)
		t.only = nil // bound again where there is a file
		fs.Func("link", "measure just this link; may be repeated; without a gateway, the interface `NAME`", func(s string) error {
			t.only = append(t.only, s)
			return nil
		})
		fs.BoolVar(&t.run.Down, "down", t.run.Down, "measure downloads")
		fs.BoolVar(&t.run.Up, "up", t.run.Up, "measure uploads")
		fs.DurationVar(&t.run.Time, "time", 8*time.Second, "how long each transfer takes; the first 3 s do not count")
		fs.StringVar(&size, "bytes", size, "`SIZE` of each transfer at most, such as 500M")
		fs.BoolVar(&t.metered, "metered", t.metered, "measure metered links, too, with 30M at most for each transfer")
		fs.BoolVar(&t.json, "json", t.json, "print one JSON document")
		fs.StringVar(&t.picture, "svg", t.picture, "draw the result into a `FILE`")
	})
	if err != nil {
		return err
	}
	given := strings.Clone(t.join)
	hideSecret(given)
	if size != "" {
		sizes, err := measure.ParseSizes(size)
		if err != nil || len(sizes) != 1 {
			return &usageError{errors.New("measure throughput: --bytes wants one size, such as 500M"), ""}
		}
		t.run.Bytes = sizes[0]
	}
	if t.run.Time < time.Second || t.run.Time > time.Minute {
		return &usageError{errors.New("measure throughput: --time wants 1s to 1m"), ""}
	}
	if !t.run.Down && !t.run.Up {
		t.run.Down, t.run.Up = true, true
	}
	if err := t.find(ctx, given); err != nil {
		return err
	}
	return t.measure(ctx)
}

// bindGateway adds the options that say where the gateway is.
func bindGateway(fs *flag.FlagSet, c *config.Config, joinText *string) {
	fs.StringVar(&c.Links.StateDir, "state", c.Links.StateDir, "the gateway's `DIR`ectory (default /var/lib/tributary, or the user's own)")
	fs.StringVar(joinText, "join", *joinText, "the relay's join link, or - to read it from standard input (default what the gateway remembers)")
	fs.Var(addrPortFlag{&c.Gateway.SOCKS}, "socks", "where the gateway's clients ask")
	fs.Var(addrPortFlag{&c.API}, "api", "where the gateway serves its status")
}

// find finds out what there is to measure.
func (t *throughputCall) find(ctx context.Context, given string) error {
	f, err := newLinkFinder(ctx, t.config, given, t.std.in)
	if err != nil {
		return err
	}
	f.only, f.metered = t.only, t.metered
	client := newAPIClient(t.config.API)
	s, err := gatewayStatus(ctx, client)
	if err != nil {
		if !noGateway(err) || f.noJoin != nil {
			return err
		}
		if t.run.Links, err = f.withoutGateway(); err != nil {
			return err
		}
		t.run.BundleLeftOut = fmt.Sprintf("no gateway runs at %s, so there is no bundle, and links are told apart just by --link NAME", t.config.API)
		return nil
	}
	t.run.Links, t.run.BundleLeftOut = f.ofGateway(s)
	for _, name := range t.only {
		if !hasLink(t.run.Links, name) {
			return fmt.Errorf("measure throughput: the gateway has no link %q", name)
		}
	}
	t.run.Status = linkStatus(client)
	if t.run.BundleLeftOut == "" {
		t.run.Bundle = transfer.Through(t.config.Gateway.SOCKS)
	}
	return nil
}

func hasLink(links []throughput.Link, name string) bool {
	for _, l := range links {
		if l.Name == name {
			return true
		}
	}
	return false
}

// announce says what it will take.
func (t *throughputCall) announce() {
	links, directions, metered := 0, 0, []string{}
	for _, l := range t.run.Links {
		if l.LeftOut == "" {
			links++
			if l.Metered {
				metered = append(metered, l.Name)
			}
		}
	}
	for _, yes := range []bool{t.run.Down, t.run.Up} {
		if yes {
			directions++
		}
	}
	phases := links
	if links > 1 {
		phases++
	}
	if t.run.Bundle != nil {
		phases++
	}
	if len(metered) > 0 && t.run.Bytes == 0 {
		t.run.Bytes = meteredBytes
	}
	text := fmt.Sprintf("%d transfers of %v", phases*directions, t.run.Time)
	if t.run.Bytes > 0 {
		text += fmt.Sprintf(", each of %s at most", measure.SizeText(t.run.Bytes))
	}
	fmt.Fprintln(t.std.err, text)
	for _, name := range metered {
		fmt.Fprintf(t.std.err, "%s is metered: this takes up to %s of it\n", name, measure.SizeText(3*int64(directions)*t.run.Bytes))
	}
}

func (t *throughputCall) measure(ctx context.Context) error {
	t.announce()
	t.run.Progress = func(doing string) { fmt.Fprintln(t.std.err, doing) }
	r, err := t.run.Do(ctx)
	switch {
	case ctx.Err() != nil:
		return errors.New("measure throughput: interrupted")
	case err != nil:
		return fmt.Errorf("measure throughput: %w", err)
	}
	if err := deliver(t.std, r, r.Print, t.json, t.picture, r.SVG); err != nil {
		return err
	}
	for _, d := range r.Directions {
		if d.BundleError != "" {
			return errors.New("measure throughput: the bundle could not be measured")
		}
	}
	return nil
}

// deliver draws a report into a file where one is named, and prints it.
func deliver(std stdio, r any, table func(io.Writer) error, asJSON bool, picture string, svg func() []byte) error {
	if picture != "" {
		if err := os.WriteFile(picture, svg(), 0o666); err != nil {
			return fmt.Errorf("measure: draw the result: %w", err)
		}
	}
	if !asJSON {
		return table(std.out)
	}
	e := json.NewEncoder(std.out)
	e.SetIndent("", "  ")
	return e.Encode(r)
}
