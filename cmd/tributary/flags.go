package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"tributary/config"
)

// newFlags returns a flag set whose help is usage, a line per call form, and
// then the flags.
func newFlags(name, usage string, std stdio) *flag.FlagSet {
	fs := flag.NewFlagSet(name, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.Usage = func() {
		fmt.Fprintf(std.out, "%s\n", strings.TrimSpace(usage))
		any := false
		fs.VisitAll(func(*flag.Flag) { any = true })
		if any {
			fmt.Fprintln(std.out)
			fs.SetOutput(std.out)
			fs.PrintDefaults()
			fs.SetOutput(io.Discard)
		}
	}
	return fs
}

// parse parses args and refuses what is left over.
func parse(fs *flag.FlagSet, args []string) error {
	rest, err := parseSome(fs, args)
	if err == nil && len(rest) > 0 {
		return &usageError{fmt.Errorf("%s: unexpected argument %q", fs.Name(), rest[0]), "tributary " + fs.Name() + " --help"}
	}
	return err
}

// parseSome parses args and returns those that are no flags; flags may come
// before, between and after them.
func parseSome(fs *flag.FlagSet, args []string) (rest []string, err error) {
	help := fs.Usage
	fs.Usage = func() {} // package flag would show it at each error
	for {
		err := fs.Parse(args)
		if errors.Is(err, flag.ErrHelp) {
			help()
			return nil, err
		}
		if err != nil {
			return nil, &usageError{fmt.Errorf("%s: %w", fs.Name(), err), "tributary " + fs.Name() + " --help"}
		}
		if fs.NArg() == 0 {
			return rest, nil
		}
		rest, args = append(rest, fs.Arg(0)), fs.Args()[1:]
	}
}

// parseOver parses args over the configuration that their --config names, or over
// the defaults. Bind adds flags whose values, and so whose defaults, are in c.
func parseOver(name, usage string, std stdio, args []string, bind func(fs *flag.FlagSet, c *config.Config)) (config.Config, error) {
	c, path := config.Default(), ""
	again := func() error {
		fs := newFlags(name, usage, std)
		fs.StringVar(&path, "config", path, "configuration `FILE`, which the other options override")
		bind(fs, &c)
		return parse(fs, args)
	}
	if err := again(); err != nil || path == "" {
		return c, err
	}
	var err error
	if c, err = config.Read(path); err != nil {
		hint := hintOf(err)
		if hint == "" && !errors.Is(err, fs.ErrNotExist) {
			hint = "docs/config.md describes every key"
		}
		return c, &usageError{err, hint}
	}
	return c, again()
}

// withoutLinks hides join links, which package flag shows when one was given to
// the wrong option or to none.
func withoutLinks(text string) string {
	return regexp.MustCompile(`(?i)tributary://[^\s"']+`).ReplaceAllString(text, "tributary://…")
}

// addrPortFlag reads ADDR:PORT, where an empty ADDR means every address.
type addrPortFlag struct{ *netip.AddrPort }

func (f addrPortFlag) String() string {
	switch {
	case f.AddrPort == nil || *f.AddrPort == (netip.AddrPort{}):
		return ""
	case !f.Addr().IsValid():
		return fmt.Sprintf(":%d", f.Port())
	}
	return f.AddrPort.String()
}

func (f addrPortFlag) Set(s string) (err error) {
	a, err := config.ParseListen(s)
	if err == nil {
		*f.AddrPort = a
	}
	return err
}

// shadowsocksFlag reads the same, or off.
type shadowsocksFlag struct{ *netip.AddrPort }

func (f shadowsocksFlag) String() string {
	if f.AddrPort != nil && *f.AddrPort == (netip.AddrPort{}) {
		return "off"
	}
	return addrPortFlag(f).String()
}

func (f shadowsocksFlag) Set(s string) (err error) {
	a, err := config.ParseShadowsocks(s)
	if err == nil {
		*f.AddrPort = a
	}
	return err
}

// stateDir makes the state directory: the one asked for, or the system's for
// root and the user's own for others.
func stateDir(asked string) (string, error) {
	dir := asked
	if dir == "" {
		dir = "/var/lib/tributary"
		if os.Geteuid() != 0 {
			base := os.Getenv("XDG_STATE_HOME")
			if base == "" {
				home, err := os.UserHomeDir()
				if err != nil {
					return "", &hintedError{fmt.Errorf("find a state directory: %w", err), "give one with --state DIR"}
				}
				base = filepath.Join(home, ".local", "state")
			}
			dir = filepath.Join(base, "tributary")
		}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", &hintedError{fmt.Errorf("make the state directory: %w", err), "give another one with --state DIR"}
	}
	return dir, nil
}
