package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"

	"tributary/account"
	"tributary/config"
	"tributary/link"
	"tributary/mptcp"
	"tributary/mptcp/fastopen"
	"tributary/relay"
)

const relayUsage = `
tributary relay [--config FILE] [--state DIR] [--listen ADDR:PORT] [--also PORT,...] [--shadowsocks ADDR:PORT|off] [--advertise HOST] [--allow-private] [--speed=false]

The server. Its first start makes keys and the account "default", and prints the
join link that a gateway needs.`

func runRelay(ctx context.Context, std stdio, args []string) error {
	c, err := parseOver("relay", relayUsage, std, args, func(fs *flag.FlagSet, c *config.Config) {
		fs.Var(addrPortFlag{&c.Relay.Listen}, "listen", "where to listen")
		fs.Func("also", "further `PORTS` for links on which the first is not let through, separated by commas", func(s string) (err error) {
			c.Relay.Also, err = parsePorts(s)
			return err
		})
		fs.Var(shadowsocksFlag{&c.Relay.Shadowsocks}, "shadowsocks", "where to listen for Shadowsocks, as `ADDR:PORT`, or off; without ADDR as --listen")
		fs.StringVar(&c.Relay.StateDir, "state", c.Relay.StateDir, "directory for keys and accounts (default /var/lib/tributary, or the user's own)")
		fs.StringVar(&c.Relay.Advertise, "advertise", c.Relay.Advertise, "host name or address in join links (default the first public address)")
		fs.BoolVar(&c.Relay.Speed, "speed", c.Relay.Speed, "let accounts measure their links against this relay; --speed=false does not")
		fs.BoolVar(&c.Relay.AllowPrivate, "allow-private", c.Relay.AllowPrivate, "let accounts reach private, loopback and link-local addresses")
	})
	if err != nil {
		return err
	}
	if c.Relay.StateDir, err = stateDir(c.Relay.StateDir); err != nil {
		return err
	}
	if c.Relay.Accounts, err = account.Open(c.Relay.StateDir); err != nil {
		return err
	}
	log := newLog(std.err)
	c.Relay.Log = log
	// The kernel's limits and buffers are made to fit gateways with many links.
	on := c.Relay.Listen.Addr()
	both := !on.IsValid() || on == netip.IPv6Unspecified()
	host, err := link.New(link.Config{Relay: true, Announce: both, StateDir: c.Relay.StateDir, Log: log})
	if err != nil {
		return err
	}
	defer host.Close()
	r, err := relay.New(c.Relay)
	if which := new(relay.ShadowsocksError); errors.As(err, &which) {
		return portHint(err, "--shadowsocks")
	} else if which := new(relay.AlsoError); errors.As(err, &which) {
		return portHint(err, "--also")
	} else if err != nil {
		return portHint(err, "--listen")
	}
	if err := mptcp.Supported(); err != nil {
		log.Warn("no Multipath TCP: every connection will use a single path", "err", err, "hint", hintOf(err))
	}
	tellCongestion(log)
	printJoinLink(std.out, r)
	if a := r.Shadowsocks(); a.IsValid() {
		log.Info("ready", "listen", r.Addr(), "shadowsocks", a)
	} else {
		log.Info("ready", "listen", r.Addr())
	}
	notifySystemd("READY=1")
	return serveAbove(ctx, host.Serve, r.Serve, func(ctx context.Context) error {
		tellFastOpen(ctx, log)
		return nil
	})
}

func parsePorts(s string) (ports []uint16, err error) {
	for _, text := range strings.Split(s, ",") {
		n, err := strconv.ParseUint(text, 10, 16)
		if err != nil || n == 0 {
			return nil, fmt.Errorf("%q is no port from 1 to 65535", text)
		}
		ports = append(ports, uint16(n))
	}
	return ports, nil
}

// tellCongestion says which congestion control connections between gateway and relay
// get from this side, which is the one that counts for what is sent from here.
func tellCongestion(log *slog.Logger) {
	name, err := mptcp.NewCongestion()
	switch {
	case name == "": // not on Linux
	case err != nil:
		log.Warn("congestion control is not what it should be", "congestion", name, "err", err, "hint", hintOf(err))
	default:
		log.Info("congestion control", "congestion", name)
	}
}

// tellFastOpen says what TCP Fast Open on this host's MPTCP listeners would be
// like. The relay never switches it on for its own; the line tells who asks why,
// and in which kernel that may change. Where the host does not accept it, the
// test is not worth its processor time.
func tellFastOpen(ctx context.Context, log *slog.Logger) {
	if !fastopen.Accepted() {
		log.Info("TCP Fast Open on MPTCP listeners is off on this host", "verdict", "off")
		return
	}
	report, err := fastopen.Check(ctx)
	verdict := "faulty"
	switch {
	case ctx.Err() != nil:
		return
	case err != nil:
		log.Info("TCP Fast Open on MPTCP listeners is not tested and stays off", "verdict", "unknown", "err", err)
		return
	case !report.Tested:
		verdict = "unknown"
	case report.Safe():
		verdict = "safe"
	}
	log.Info(report.String(), "verdict", verdict, "took", report.Took)
}

// printJoinLink shows the link of the default account to a person. It contains a
// secret, so it does not go where logs are kept.
func printJoinLink(w io.Writer, r *relay.Relay) {
	l, err := r.JoinLink(account.Default)
	switch {
	case err != nil: // the account was removed, or there is no address to name
		fmt.Fprintf(w, "No join link: %v\n", err)
	case os.Getenv("JOURNAL_STREAM") != "":
		fmt.Fprintf(w, "The join link is a secret: tributary account link %s prints it.\n", account.Default)
	default:
		fmt.Fprintf(w, "Join link of account %q (a secret, anybody who has it can use this relay):\n\n  %s\n\n", l.Account, l.Text())
		if isTerminal(w) {
			printQR(w, l.Text())
		}
		fmt.Fprintf(w, "On the other side:  tributary gateway --join -   (and paste the link)\n")
	}
}

// portHint says what to do when a port is taken or reserved.
func portHint(err error, option string) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return &hintedError{err, "another program has this port: stop it, or choose another with " + option + " ADDR:PORT"}
	case errors.Is(err, syscall.EACCES):
		return &hintedError{err, "ports below 1024 are for root: choose another with " + option + " ADDR:PORT"}
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return &hintedError{err, "this host does not have that address: choose another with " + option + " ADDR:PORT"}
	}
	return err
}
