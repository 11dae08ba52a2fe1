package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"

	"golang.org/x/sys/unix"
)

// RunShell builds the reference network with relay and gateway, says what is
// where, runs $SHELL on the host "home" with this process's standard files, and
// takes everything down when the shell ends, with whatever status.
func RunShell(ctx context.Context, o Options, w io.Writer) (err error) {
	t, err := newTrial(ctx, Config{}, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.close()) }()
	if err := t.Start(ctx); err != nil {
		return err
	}
	if err := t.Warm(ctx); err != nil {
		return err
	}
	program, err := t.program()
	if err != nil {
		return err
	}
	fmt.Fprint(w, t.describe(program))
	shell := os.Getenv("SHELL")
	if shell == "" {
		shell = "/bin/sh"
	}
	cmd := t.Network.Host("home").Command(ctx, shell)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if dir, err := os.Getwd(); err == nil {
		cmd.Dir = dir // a new mount namespace starts at the root
	}
	cmd.Env = append(os.Environ(), "TRIBUTARY_LAB=home")
	restore := cmd.takeTerminal()
	defer restore()
	if err := cmd.Start(); err != nil {
		return err
	}
	var exit interface{ ExitCode() int }
	if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
		return err
	}
	return context.Cause(ctx)
}

// takeTerminal makes the command the terminal's foreground process group, so that
// Ctrl-C is the shell's and job control works in it. It returns how to undo that.
func (c *Cmd) takeTerminal() (restore func()) {
	fd := int(os.Stdin.Fd())
	group, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP)
	if err != nil {
		return func() {} // not a terminal
	}
	c.SysProcAttr.Setpgid, c.SysProcAttr.Foreground, c.SysProcAttr.Ctty = true, true, fd
	// A background group that takes the terminal back would be stopped.
	signal.Ignore(unix.SIGTTOU)
	return func() {
		unix.IoctlSetPointerInt(fd, unix.TIOCSPGRP, group)
		signal.Reset(unix.SIGTTOU)
	}
}

func (t *trial) describe(program string) string {
	var b strings.Builder
	pid := t.gateway.Process.Pid
	server := t.Network.Addrs(ServerName)[0]
	b.WriteString("A home with two access links, a relay and a final server; this shell is at home.\n\n")
	for _, name := range t.Network.Links() {
		l := t.Network.Link(name)
		s := l.Shape()
		fmt.Fprintf(&b, "  link %-8s %s, %g/%g Mbit/s down/up, %v round trip\n", name, l.Addr(false), s.Down.RateMbit, s.Up.RateMbit, s.Down.Delay+s.Up.Delay)
	}
	fmt.Fprintf(&b, "  gateway       127.0.0.1:%d (SOCKS4, 4a, 5 and HTTP CONNECT), status at 127.0.0.1:%d\n", ProxyPort, APIPort)
	fmt.Fprintf(&b, "  relay         %s:%d, %s\n", t.Network.Addrs(RelayName)[0], RelayPort, RelayName)
	fmt.Fprintf(&b, "  final server  %s, %s: HTTP %d, plain TCP %d, echo %d, banner %d, nothing on %d\n\n", server, ServerName, PortHTTP, PortPlain, PortEcho, PortBanner, PortRefused)
	fmt.Fprintf(&b, `Try:
  curl -o /dev/null "http://%[1]s/bytes?n=1e8"                                      # one link
  curl -o /dev/null --socks5-hostname 127.0.0.1:%[2]d "http://%[1]s/bytes?n=1e8"    # the bundle
  curl --proxytunnel -x http://127.0.0.1:%[2]d http://%[1]s/seen                    # what the server saw
  %[4]s status
  ip link set dsl down; ip link set dsl up; ip addr add %[5]s/24 dev dsl; ip route add default via %[6]s dev dsl metric 100
From another terminal, as root: nsenter -t %[3]d -n -m
The network lives as long as this shell.

`, ServerName, ProxyPort, pid, program, t.Network.Link(t.Network.Links()[0]).Addr(false), leg4(1, routerEnd).Addr())
	return b.String()
}
