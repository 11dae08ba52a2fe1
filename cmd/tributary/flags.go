package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
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
	for {
		err := fs.Parse(args)
		if errors.Is(err, flag.ErrHelp) {
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

// addrPortFlag reads ADDR:PORT, where an empty ADDR means every address.
type addrPortFlag struct{ netip.AddrPort }

func (f *addrPortFlag) String() string {
	if f.AddrPort == (netip.AddrPort{}) {
		return ""
	}
	if !f.Addr().IsValid() {
		return fmt.Sprintf(":%d", f.Port())
	}
	return f.AddrPort.String()
}

func (f *addrPortFlag) Set(s string) error {
	if strings.HasPrefix(s, ":") {
		p, err := netip.ParseAddrPort("0.0.0.0" + s)
		if err == nil {
			f.AddrPort = netip.AddrPortFrom(netip.Addr{}, p.Port())
			return nil
		}
	}
	p, err := netip.ParseAddrPort(s)
	if err != nil {
		return errors.New("want ADDR:PORT, such as 127.0.0.1:1080 or [::1]:1080")
	}
	f.AddrPort = p
	return nil
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
