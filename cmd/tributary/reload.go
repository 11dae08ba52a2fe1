package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"tributary/config"
)

// reloads reports whether SIGHUP is the order to read the configuration again: to a
// gateway that has one and that no terminal controls. For others a terminal was closed.
func reloads(args []string) bool {
	if len(args) < 2 || args[1] != "gateway" || !slices.ContainsFunc(args, isConfig) {
		return false
	}
	f, err := os.Open("/dev/tty")
	if err == nil {
		f.Close()
	}
	return err != nil
}

func isConfig(arg string) bool {
	name, _, _ := strings.Cut(arg, "=")
	return name == "-config" || name == "--config"
}

// hangups delivers SIGHUP from now on, where that is no end.
func hangups() chan os.Signal {
	c := make(chan os.Signal, 1)
	if reloads(os.Args) {
		signal.Notify(c, syscall.SIGHUP)
	}
	return c
}

// reloadLinks reads the configuration again whenever it is told to, until ctx ends, and
// takes over which links there are, their modes and what they cost. Other keys need a restart. What
// cannot be read changes nothing.
func reloadLinks(ctx context.Context, told chan os.Signal, take func(config.Config) error, read func() (config.Config, error), log *slog.Logger) error {
	defer signal.Stop(told)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-told:
		}
		c, err := read()
		if err == nil {
			err = take(c)
		}
		if err != nil {
			log.Warn("links stay as they are", "err", err)
			continue
		}
		log.Info("links were read again")
	}
}
