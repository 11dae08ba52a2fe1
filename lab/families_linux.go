package lab

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"
)

// Targets of the scenario "families".
const (
	familiesShare = 92                // percent of the sum of both links alone
	familiesGapMs = 350               // when a link is lost
	familiesFor   = 8 * time.Second   // of the downloads at full rate
	familiesBytes = int64(40_000_000) // of those in which a link is lost: some 8 s and more
)

// familiesConfig has DSL without IPv6 and LTE without IPv4.
func familiesConfig() Config {
	return Config{IPv6: true, Only: map[string]int{"dsl": 4, "lte": 6}}
}

// families has links of different families in one connection, and loses either.
func families(ctx context.Context, t *trial) error {
	t.step(2*time.Second, "start relay and gateway")
	if err := t.StartRelay(ctx, "--listen", fmt.Sprintf("[::]:%d", RelayPort), "--advertise", RelayName); err != nil {
		return err
	}
	if err := t.StartGateway(ctx); err != nil {
		return err
	}
	if err := t.Warm(ctx); err != nil {
		return err
	}
	sum := 0.0
	for link, server := range map[string]string{"dsl": V4Name, "lte": V6Name} {
		t.step(familiesFor, "%s alone, plain TCP", link)
		r, err := Download(ctx, Transfer{Dialer: t.home(link), URL: "http://" + server + "/bytes?n=1e15", For: familiesFor})
		if err != nil {
			return fmt.Errorf("download over %s alone: %w", link, err)
		}
		t.figure(link+" alone", r.Mbit(), "Mbit/s", nil)
		sum += r.Mbit()
	}
	t.step(familiesFor, "both in one connection")
	r, err := Download(ctx, t.through(endless, familiesFor))
	if err != nil {
		return err
	}
	t.figure("both in one connection, without the first 2 s", r.MbitBetween(2*time.Second, r.Elapsed), "Mbit/s", nil)
	t.figure("both in one connection, of the sum", 100*r.MbitBetween(2*time.Second, r.Elapsed)/sum, "%", atLeast(familiesShare))
	st, err := t.Status(ctx)
	if err != nil {
		return err
	}
	t.check("MPTCP passes both", mptcpWords(st)["ok"] == 2, "%s", linkWords(st))
	for _, name := range t.Network.Links() {
		if err := t.loseFamily(ctx, name); err != nil {
			return err
		}
	}
	return t.StopGateway(syscall.SIGTERM)
}

// loseFamily silences a link for three seconds during a download.
func (t *trial) loseFamily(ctx context.Context, name string) error {
	t.step(14*time.Second, "%s goes silent for 3 s", name)
	if err := t.Warm(ctx); err != nil {
		return err
	}
	link := t.Network.Link(name)
	silence := func(on bool) func() error {
		return func() error { link.Silence(on); return nil }
	}
	page := make(chan error, 1)
	go func() { page <- t.page(ctx, 3500*time.Millisecond) }()
	p, err := t.pull(ctx, pull{link: name, lose: silence(true), mend: silence(false), at: 2 * time.Second, back: 5 * time.Second, bytes: familiesBytes})
	pageErr := <-page
	if err != nil {
		return err
	}
	t.check(name+" silent: other requests work", pageErr == nil, "%v", orOK(pageErr))
	t.check(name+" silent: the download is whole", p.complete, "%v", orOK(p.err))
	t.figure(name+" silent: longest gap", ms(p.GapBetween(p.lost, p.back).Length), "ms", atMost(familiesGapMs))
	t.figure(name+" is back: longest gap", ms(p.GapAfter(p.back).Length), "ms", nil)
	t.figure(name+" silent: brought by it after its return, on the same connection", float64(p.bytesAfter)/1e6, "MB", nil)
	t.step(10*time.Second, "%s is back", name)
	if err := sleep(ctx, 3*time.Second); err != nil {
		return err
	}
	before, err := t.Status(ctx)
	if err != nil {
		return err
	}
	if _, ok := t.fetch(ctx, name+" is back: a new download works", 15e6); !ok {
		return ctx.Err()
	}
	after, err := t.Status(ctx)
	if err != nil {
		return err
	}
	brought := carried(before, after)[name].BytesDown
	t.figure(name+" is back: brought by it, of a new download", float64(brought)/15e4, "%", nil)
	t.check(name+" is back: new connections use it", brought > 1e6, "%d bytes", brought)
	return nil
}

// page sends requests side by side, after a while: the connections that the gateway makes
// in their place begin as the links are then.
func (t *trial) page(ctx context.Context, after time.Duration) error {
	if err := sleep(ctx, after); err != nil {
		return err
	}
	const requests = 12
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	errs := make(chan error, requests)
	for range requests {
		go func() {
			_, err := Download(ctx, t.through(bytesURL(20_000), 0))
			errs <- err
		}()
	}
	var all error
	for range requests {
		all = errors.Join(all, <-errs)
	}
	return all
}
