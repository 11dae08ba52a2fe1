package main

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
)

// version is the release; it changes together with CHANGELOG.md.
const version = "0.1.0-dev"

func runVersion(_ context.Context, std stdio, args []string) error {
	if err := parse(newFlags("version", "tributary version", std), args); err != nil {
		return err
	}
	commit := ""
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				commit = " " + s.Value[:min(12, len(s.Value))]
			}
		}
	}
	_, err := fmt.Fprintf(std.out, "tributary %s%s %s/%s %s\n", version, commit, runtime.GOOS, runtime.GOARCH, runtime.Version())
	return err
}
