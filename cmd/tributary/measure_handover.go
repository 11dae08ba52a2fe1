package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"strings"
	"time"

	"tributary/config"
	"tributary/measure"
	"tributary/measure/handover"
	"tributary/measure/transfer"
)

const handoverUsage = `
tributary measure handover [OPTION]...

What becomes of a transfer through the gateway on this host while a link is lost:
begin it, unplug a link, plug it in again, and read what that did. Ctrl-C ends it
early. The other end is the gateway's own relay.

--rate 1M measures a flow of 1 Mbit/s, as a call is, in place of a download at
full rate. --cut LINK takes the link away by itself, as if it had gone silent, for
the middle third of the time; that needs root and nft, and undoes itself.`

// A handoverCall is one call of "measure handover".
type handoverCall struct {
	std     stdio
	config  config.Config
	join    string
	api     *apiClient
	run     handover.Run
	cut     string
	metered bool
	json    bool
	picture string
}

func runHandover(ctx context.Context, std stdio, args []string) error {
	h := &handoverCall{std: std}
	var rate string
	var err error
	h.config, err = parseOver("measure handover", handoverUsage, std, args, func(fs *flag.FlagSet, c *config.Config) {
		bindGateway(fs, c, &h.join)
		fs.BoolVar(&h.run.Up, "up", h.run.Up, "an upload in place of a download")
		fs.StringVar(&rate, "rate", rate, "`RATE` of the download in bit/s, such as 1M (default as fast as it goes)")
		fs.DurationVar(&h.run.Time, "time", 30*time.Second, "how long the transfer takes")
		fs.StringVar(&h.cut, "cut", h.cut, "take this `LINK` away for the middle third of the time")
		fs.BoolVar(&h.metered, "metered", h.metered, "measure although a metered link takes part")
		fs.BoolVar(&h.json, "json", h.json, "print one JSON document")
		fs.StringVar(&h.picture, "svg", h.picture, "draw the rates over the time into a `FILE`")
	})
	if err != nil {
		return err
	}
	given := strings.Clone(h.join)
	hideSecret(given)
	if rate != "" {
		sizes, err := measure.ParseSizes(rate)
		if err != nil || len(sizes) != 1 || sizes[0] < 8000 || h.run.Up {
			return &usageError{errors.New("measure handover: --rate wants one rate of 8k and more, such as 1M, and is for downloads"), ""}
		}
		h.run.Rate = sizes[0] / 8
	}
	if h.run.Time < 3*time.Second || h.run.Time > 2*time.Minute {
		return &usageError{errors.New("measure handover: --time wants 3s to 2m"), ""}
	}
	if err := h.prepare(ctx, given); err != nil {
		return err
	}
	return h.measure(ctx)
}

// prepare looks at the gateway.
func (h *handoverCall) prepare(ctx context.Context, given string) error {
	h.api = newAPIClient(h.config.API)
	s, err := gatewayStatus(ctx, h.api)
	if err != nil {
		return err
	}
	found := h.cut == ""
	for _, l := range s.Links {
		found = found || l.Name == h.cut
		if l.Metered && l.Mode == "on" && l.State == "up" && !h.metered {
			return &hintedError{fmt.Errorf("measure handover: %s is metered, and would take part", l.Name), "--metered measures all the same; --rate 1M takes 4 MB in 30 s"}
		}
	}
	if !found {
		return fmt.Errorf("measure handover: the gateway has no link %q", h.cut)
	}
	h.run.Way = transfer.Through(h.config.Gateway.SOCKS)
	h.run.Status = h.snapshot
	h.run.Progress = func(e handover.Event) { fmt.Fprintf(h.std.err, "%5.1f s  %s\n", e.AtMs/1000, e) }
	if h.cut == "" {
		fmt.Fprintf(h.std.err, "unplug a link now, and plug it in again; this takes %v\n", h.run.Time)
		return nil
	}
	f, err := newLinkFinder(ctx, h.config, given, h.std.in)
	if err != nil {
		return err
	}
	if f.noJoin != nil {
		return f.noJoin
	}
	c := linkCut{link: h.cut, relay: f.addrs}
	h.run.CutLink, h.run.CutAt, h.run.CutFor = h.cut, h.run.Time/3, h.run.Time/3
	h.run.Cut = func(ctx context.Context) error { return c.cut(ctx, h.run.CutFor) }
	return nil
}

// snapshot asks the gateway.
func (h *handoverCall) snapshot(ctx context.Context) (handover.Snapshot, error) {
	s, err := gatewayStatus(ctx, h.api)
	if err != nil {
		return handover.Snapshot{}, err
	}
	now := handover.Snapshot{At: time.Now()}
	for _, l := range s.Links {
		n := handover.LinkNow{Name: l.Name, State: l.State, Note: l.Note, Bytes: l.BytesDown}
		if h.run.Up {
			n.Bytes = l.BytesUp
		}
		now.Links = append(now.Links, n)
	}
	for _, d := range s.Decisions {
		at, err := time.Parse(time.RFC3339Nano, d.At)
		if err != nil {
			at = now.At
		}
		now.Decisions = append(now.Decisions, handover.Decision{At: at, Link: d.Link, By: d.By, From: d.From, To: d.To, Why: d.Why})
	}
	return now, nil
}

func (h *handoverCall) measure(ctx context.Context) error {
	r, err := h.run.Do(ctx)
	if h.run.Cut != nil {
		err = errors.Join(err, linkCut{}.undo())
	}
	if err != nil {
		return fmt.Errorf("measure handover: %w", err)
	}
	if err := deliver(h.std, r, r.Print, h.json, h.picture, r.SVG); err != nil {
		return err
	}
	if r.Error != "" {
		return errors.New("measure handover: the transfer broke")
	}
	return nil
}
