package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"tributary/config"
	"tributary/dashboard"
	"tributary/gateway"
)

const statusUsage = `
tributary status [--api ADDR:PORT] [--json]

Links, relay, sessions and pool of the gateway at --api: what is and why.`

func runStatus(ctx context.Context, std stdio, args []string) error {
	fs := newFlags("status", statusUsage, std)
	api := config.Default().API
	fs.Var(addrPortFlag{&api}, "api", "where the gateway serves its status")
	asJSON := fs.Bool("json", false, "print one JSON document")
	if err := parse(fs, args); err != nil {
		return err
	}
	body, err := fetchStatus(ctx, api)
	if err != nil {
		return err
	}
	if *asJSON {
		_, err := std.out.Write(body)
		return err
	}
	var s gateway.Status
	if err := json.Unmarshal(body, &s); err != nil {
		return fmt.Errorf("status of %s: not a gateway's: %w", api, err)
	}
	return printStatus(std.out, s)
}

func fetchStatus(ctx context.Context, api netip.AddrPort) ([]byte, error) {
	if !api.Addr().IsValid() { // ":PORT" listens on all addresses, this host's own among them
		api = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), api.Port())
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", "http://"+api.String()+dashboard.StatusPath, nil)
	if err != nil {
		return nil, err
	}
	client := http.Client{Transport: &http.Transport{}} // no proxy from the environment
	resp, err := client.Do(req)
	if err != nil {
		err = fmt.Errorf("ask %s for its status: %w", api, unwrapURL(err))
		if errors.Is(err, syscall.ECONNREFUSED) {
			return nil, &hintedError{err, "no gateway runs there: start one with tributary gateway, or name another with --api ADDR:PORT"}
		}
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("ask %s for its status: %s", api, resp.Status)
	}
	return io.ReadAll(io.LimitReader(resp.Body, 16<<20))
}

// unwrapURL drops the URL that net/http puts around an error.
func unwrapURL(err error) error {
	if inner := errors.Unwrap(err); inner != nil {
		return inner
	}
	return err
}

func printStatus(w io.Writer, s gateway.Status) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "relay\t%s\t%s%s\n", s.Relay.Address, s.Relay.State, statusDetail(s.Relay))
	if s.Multipath.OK {
		fmt.Fprintf(t, "multipath\tyes\n")
	} else {
		fmt.Fprintf(t, "multipath\tno, a single path is used\t%s\n", s.Multipath.Why)
		if s.Multipath.Hint != "" {
			fmt.Fprintf(t, "\t\thint: %s\n", s.Multipath.Hint)
		}
	}
	fmt.Fprintf(t, "link care\t%s\n", s.LinkCare)
	fmt.Fprintf(t, "sessions\t%d open, %d since the start\n", s.Sessions.Open, s.Sessions.Total)
	p := s.Pool
	fmt.Fprintf(t, "pool\t%d warm; %d hits, %d of them recycled, and %d misses\n", p.Warm, p.Hits, p.Recycled, p.Misses)
	fmt.Fprintf(t, "raced\t%d requests, %d of them won by the second link\n\n", p.Raced, p.Won)
	if err := t.Flush(); err != nil {
		return err
	}
	t = tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "LINK\tMODE\tSTATE\tRTT\tRESENT\tUP\tDOWN\tMPTCP\t\n")
	for _, l := range s.Links {
		rtt := "-"
		if l.RTTms > 0 {
			rtt = fmt.Sprintf("%.1f ms", l.RTTms)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%.2f %%\t%s\t%s\t%s\t\n", l.Name, l.Mode, l.State, rtt, 100*l.Loss, bytesText(l.BytesUp), bytesText(l.BytesDown), l.MPTCP)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, l := range s.Links {
		if l.Note != "" {
			fmt.Fprintf(w, "%s: %s\n", l.Name, l.Note)
		}
	}
	if len(s.Links) == 0 {
		fmt.Fprintln(w, "no links: no interface has a default route; name one with --link DEV")
	}
	return nil
}

func statusDetail(r gateway.RelayStatus) string {
	var b strings.Builder
	if r.RTTms > 0 && r.State == "up" {
		fmt.Fprintf(&b, ", %.1f ms", r.RTTms)
	}
	if r.Error != "" {
		fmt.Fprintf(&b, ": %s", strings.ReplaceAll(r.Error, "\n", "; "))
	}
	return b.String()
}

// bytesText writes a count with three digits that matter and a decimal unit.
func bytesText(n uint64) string {
	const units = "kMGTPE"
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	f, i := float64(n)/1000, 0
	for f >= 999.5 {
		f, i = f/1000, i+1
	}
	return fmt.Sprintf("%.3g %cB", f, units[i])
}
