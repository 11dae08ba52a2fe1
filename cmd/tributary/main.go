// Command tributary is both sides of Tributary, the instruments and the lab, in
// one binary. Each sub-command is a file; this one only chooses.
//
// Output follows three rules. Results go to stdout, logs and progress to stderr.
// An error is one line that starts with "tributary:", in lower case, with a
// "hint:" line below it where a person can do something. The exit status is 0 for
// done, 1 for failed and 2 for wrong usage.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

// A command is one sub-command.
type command struct {
	name string
	does string // half a line for the overview
	run  func(ctx context.Context, std stdio, args []string) error
}

var commands = []command{
	{"relay", "the server, on a host with a good line", runRelay},
	{"gateway", "the client side, on a router or a laptop", runGateway},
	{"status", "links, relay, sessions and pool: what is and why", runStatus},
	{"top", "a live view of links and sessions", runTop},
	{"account", "who may use the relay", runAccount},
	{"measure", "what links carry, and what a proxy costs a client", runMeasure},
	{"lab", "emulated links in network namespaces (root)", runLab},
	{"version", "which version this is", runVersion},
}

// stdio is what a command may talk to.
type stdio struct {
	in       io.Reader
	out, err io.Writer
}

func main() {
	ends := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) && !reloads(os.Args) { // ignored is how nohup wants it
		ends = append(ends, syscall.SIGHUP)
	}
	ctx, stop := signal.NotifyContext(context.Background(), ends...)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is main without the process around it.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	err := choose(ctx, stdio{stdin, stdout, stderr}, args)
	var wrong *usageError
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
		return 0
	case errors.As(err, &wrong):
		printError(stderr, err)
		return 2
	}
	printError(stderr, err)
	return 1
}

func choose(ctx context.Context, std stdio, args []string) error {
	if len(args) == 0 {
		overview(std.err)
		return &usageError{errors.New("no command"), ""}
	}
	switch args[0] {
	case "-h", "--help", "help":
		overview(std.out)
		return nil
	case "--version":
		args[0] = "version"
	}
	for _, c := range commands {
		if c.name == args[0] {
			return c.run(ctx, std, args[1:])
		}
	}
	return &usageError{fmt.Errorf("no command %q", args[0]), "tributary help lists them"}
}

func overview(w io.Writer) {
	fmt.Fprint(w, "Several access links, one connection.\n\n  tributary COMMAND [OPTION]...\n\n")
	for _, c := range commands {
		fmt.Fprintf(w, "  %-9s %s\n", c.name, c.does)
	}
	fmt.Fprint(w, "\nOn the server:  tributary relay            (prints a join link)\nAt home:        tributary gateway --join -   (and paste the link)\nTry it first:   tributary lab demo\n")
}

// printError prints an error's lines, each with the program's name, and its hint.
func printError(w io.Writer, err error) {
	for _, line := range strings.Split(withoutLinks(err.Error()), "\n") {
		fmt.Fprintf(w, "tributary: %s\n", line)
	}
	var hinted interface{ Hint() string }
	if errors.As(err, &hinted) && hinted.Hint() != "" {
		fmt.Fprintf(w, "hint: %s\n", hinted.Hint())
	}
}

// A usageError is the person's at the keyboard.
type usageError struct {
	err  error
	hint string
}

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }
func (e *usageError) Hint() string  { return e.hint }

// A hintedError says what to do about another error.
type hintedError struct {
	err  error
	hint string
}

func (e *hintedError) Error() string { return e.err.Error() }
func (e *hintedError) Unwrap() error { return e.err }
func (e *hintedError) Hint() string  { return e.hint }
