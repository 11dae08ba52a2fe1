package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"tributary/config"
	"tributary/dashboard"
	"tributary/durable"
	"tributary/gateway"
	"tributary/link"
	"tributary/mptcp"
	"tributary/proto/join"
)

const gatewayUsage = `
tributary gateway [--config FILE] [--state DIR] [--join LINK] [--socks ADDR:PORT] [--link DEV[=MODE]]... [--api ADDR:PORT]

The client side. Point browsers and programs at the --socks port, which speaks
SOCKS4, 4a and 5 and HTTP CONNECT. The join link is what "tributary relay"
printed; it is remembered. "--join -" reads it from standard input, where no
process list shows it.

Without --link, every interface with a default route is a link. MODE is on
(default), backup, overflow or off. On SIGHUP a gateway with --config and without
a terminal reads its links again.`

func runGateway(ctx context.Context, std stdio, args []string) error {
	var joinText string
	bind := func(fs *flag.FlagSet, c *config.Config) {
		fs.StringVar(&c.Links.StateDir, "state", c.Links.StateDir, "directory for the join link and the journal of kernel changes (default /var/lib/tributary, or the user's own)")
		fs.StringVar(&joinText, "join", "", "the relay's join link, or - to read it from standard input")
		fs.Var(addrPortFlag{&c.Gateway.SOCKS}, "socks", "where clients ask")
		fs.Var(addrPortFlag{&c.API}, "api", "where status is served")
		var wanted []link.Wanted
		fs.Func("link", "use this interface as a link, as `DEV[=MODE]`; may be repeated", func(s string) error {
			w, err := link.ParseWanted(s)
			wanted = append(wanted, w)
			c.Links.Wanted = wanted // in place of the file's
			return err
		})
	}
	c, err := parseOver("gateway", gatewayUsage, std, args, bind)
	if err != nil {
		return err
	}
	given := strings.Clone(joinText) // hideSecret overwrites the original
	hideSecret(given)
	if given == "-" && isTerminal(std.err) {
		fmt.Fprint(std.err, "Paste the join link: ")
	}
	surviveSIGPIPE()
	told := hangups()
	state, err := stateDir(c.Links.StateDir)
	if err != nil {
		return err
	}
	if given != "" || c.Gateway.Relay == (join.Link{}) {
		if c.Gateway.Relay, err = joinLink(state, given, std.in); err != nil {
			return err
		}
	}
	log := newLog(std.err)
	if given != "" {
		// Not before the relay has accepted it: a wrong link must not replace a good one.
		c.Gateway.Joined = func() {
			if err := durable.WriteFile(filepath.Join(state, joinFile), []byte(c.Gateway.Relay.Text()+"\n")); err != nil {
				log.Warn("the join link is not remembered", "err", err)
			}
		}
	}
	c.Links.StateDir, c.Gateway.StateDir, c.Links.Log, c.Gateway.Log = state, state, log, log
	if c.Gateway.Trace, err = openTrace(); err != nil {
		return err
	}
	links, err := link.New(c.Links)
	if err != nil {
		return err
	}
	defer links.Close()
	c.Gateway.Links = links
	g, err := gateway.New(c.Gateway)
	if err != nil {
		return portHint(err, "--socks")
	}
	status, err := dashboard.New(mptcp.ListenText(c.API), gatewayAnswers(g))
	if err != nil {
		return portHint(err, "--api")
	}
	if err := mptcp.Supported(); err != nil {
		log.Warn("no Multipath TCP: running on a single path", "err", err, "hint", hintOf(err))
	}
	tellCongestion(log)
	log.Info("ready", "socks", g.Addr(), "api", status.Addr(), "relay", c.Gateway.Relay.Host)
	notifySystemd("READY=1")
	reload := func(ctx context.Context) error {
		read := func() (config.Config, error) {
			return parseOver("gateway", gatewayUsage, stdio{out: io.Discard, err: io.Discard}, args, bind)
		}
		take := func(c config.Config) error {
			err := links.Set(c.Links.Wanted)
			if err == nil {
				g.SetPlans(c.Gateway.Plans)
			}
			return err
		}
		return reloadLinks(ctx, told, take, read, log)
	}
	return serveAbove(ctx, links.Serve, g.Serve, status.Serve, reload)
}

// serveAbove runs services on a ground that has to stay until they have ended:
// sessions that drain still need the routes.
func serveAbove(ctx context.Context, ground func(context.Context) error, services ...func(context.Context) error) error {
	stays, end := context.WithCancel(context.WithoutCancel(ctx))
	return serveAll(ctx,
		func(context.Context) error { return ground(stays) },
		func(ctx context.Context) error {
			defer end()
			return serveAll(ctx, services...)
		})
}

// serveAll runs services until ctx ends or one of them fails, and returns the
// first failure.
func serveAll(ctx context.Context, services ...func(context.Context) error) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var wg sync.WaitGroup
	var once sync.Once
	var first error
	for _, serve := range services {
		wg.Go(func() {
			if err := serve(ctx); err != nil {
				once.Do(func() { first = err })
				stop(err)
			}
		})
	}
	wg.Wait()
	return first
}

// joinFile holds the join link between starts. It is a secret.
const joinFile = "join"

// joinLink returns the link given now, or the one remembered.
func joinLink(dir, text string, stdin io.Reader) (join.Link, error) {
	path := filepath.Join(dir, joinFile)
	if text == "-" {
		line, err := bufio.NewReader(io.LimitReader(stdin, 4096)).ReadString('\n')
		if err != nil && err != io.EOF {
			return join.Link{}, fmt.Errorf("read the join link: %w", err)
		}
		text = line
	}
	if text != "" {
		l, err := join.Parse(text)
		if err != nil {
			return join.Link{}, &usageError{err, "copy the whole line that the relay printed, in single quotes"}
		}
		return l, nil
	}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return join.Link{}, &usageError{errors.New("no relay to join"), "run \"tributary relay\" on the server, then tributary gateway --join - here, and paste the link"}
	} else if err != nil {
		return join.Link{}, fmt.Errorf("read the remembered join link: %w", err)
	}
	l, err := join.Parse(strings.TrimSpace(string(b)))
	if err != nil {
		return join.Link{}, fmt.Errorf("remembered join link in %s: %w", path, err)
	}
	return l, nil
}
