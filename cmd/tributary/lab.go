package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"tributary/lab"
)

const labUsage = `
tributary lab demo [--json] [--log]

Emulated links in network namespaces: a home with a DSL and an LTE line, a relay
and a final server, all on this machine. Needs Linux and root, changes nothing
outside its own namespaces.

demo   does the main job once and measures it, in about 90 seconds`

func runLab(ctx context.Context, std stdio, args []string) error {
	fs := newFlags("lab", labUsage, std)
	asJSON := fs.Bool("json", false, "print one JSON document")
	showLog := fs.Bool("log", false, "show the log of relay and gateway")
	rest, err := parseSome(fs, args)
	if err != nil {
		return err
	}
	if len(rest) == 0 {
		return &usageError{errors.New("lab: what to do is missing"), "tributary lab --help"}
	}
	l := &labRun{std: std, json: *asJSON}
	if *showLog {
		l.options.Log = std.err
	}
	switch verb, names := rest[0], rest[1:]; {
	case verb == "demo" && len(names) == 0:
		return l.demo(ctx)
	case verb == "demo":
		return &usageError{fmt.Errorf("lab demo: unexpected argument %q", names[0]), "tributary lab --help"}
	default:
		return &usageError{fmt.Errorf("lab: no command %q", verb), "tributary lab --help"}
	}
}

// A labRun is one call of "tributary lab".
type labRun struct {
	std     stdio
	json    bool
	options lab.Options
}

func (l *labRun) demo(ctx context.Context) error {
	if err := lab.Ready(); err != nil {
		return err
	}
	p := newProgress(l.std.err)
	l.options.Progress = p.step
	d, err := lab.RunDemo(ctx, l.options)
	p.close()
	if err != nil {
		return interrupted(ctx, err)
	}
	if err := l.print(d, d.Print); err != nil {
		return err
	}
	if !d.Works {
		return errors.New("lab demo: the job was not done")
	}
	return nil
}

// print writes v as JSON, or calls table for a person.
func (l *labRun) print(v any, table func(io.Writer) error) error {
	if !l.json {
		return table(l.std.out)
	}
	e := json.NewEncoder(l.std.out)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// interrupted replaces the many errors that an end by signal leaves by one.
func interrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return errors.New("lab: interrupted, everything was taken down")
	}
	return err
}
