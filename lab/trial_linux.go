package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"
)

// endless is more than any transfer here takes.
const endless = "http://" + ServerName + "/bytes?n=1e15"

// A trial is a network with relay and gateway, and the measurements that the demo
// and the scenarios share.
type trial struct {
	*System
	*Report
	options       Options
	length        time.Duration // see Scenario, as times
	times         int
	takes, passed time.Duration // for the progress
	close         func() error
}

// newTrial builds a network. Nothing runs in it yet. The caller ends it with
// t.close.
func newTrial(ctx context.Context, c Config, o Options) (*trial, error) {
	dir, err := os.MkdirTemp("", "tributary-lab-")
	if err != nil {
		return nil, fmt.Errorf("make a state directory: %w", err)
	}
	n, err := New(ctx, c)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	t := &trial{Report: &Report{}, System: &System{Network: n, Binary: o.Binary, Dir: dir, Log: o.Log}, options: o}
	t.close = func() error { return errors.Join(t.System.Close(), n.Close(), os.RemoveAll(dir)) }
	return t, nil
}

// home returns a dialer for plain TCP from home, by one link or by the default
// route if link is "".
func (t *trial) home(link string) Dialer { return Dialer{Host: t.Network.Host("home"), Device: link} }

// through returns a transfer through the gateway.
func (t *trial) through(url string, d time.Duration) Transfer {
	return Transfer{Dialer: t.home(""), URL: url, For: d, Proxy: t.Proxy("socks5")}
}

// carried is how the links' counters changed since an earlier status.
func carried(before, after Status) map[string]LinkStatus {
	diff := make(map[string]LinkStatus)
	for _, l := range after.Links {
		for _, b := range before.Links {
			if b.Name == l.Name {
				l.BytesUp -= min(l.BytesUp, b.BytesUp)
				l.BytesDown -= min(l.BytesDown, b.BytesDown)
			}
		}
		diff[l.Name] = l
	}
	return diff
}

// firstByte returns the median time to the first byte of tries small answers. A
// filled pool is waited for before each if the transfer goes through the gateway.
func (t *trial) firstByte(ctx context.Context, tr Transfer, tries int) (time.Duration, error) {
	tr.URL = "http://" + ServerName + "/hello"
	var times []time.Duration
	for range tries {
		if tr.Proxy != "" {
			if err := t.Warm(ctx); err != nil {
				return 0, err
			}
		}
		r, err := Download(ctx, tr)
		if err != nil {
			return 0, err
		}
		times = append(times, r.FirstByte)
	}
	slices.Sort(times)
	return times[len(times)/2], nil
}

// A pull is how to lose a link during a download, and when.
type pull struct {
	link       string
	lose, mend func() error
	at, back   time.Duration // since the first byte
	bytes      int64
}

// A pulled is what became of it.
type pulled struct {
	Result
	complete   bool
	lost, back time.Duration // since the first byte: when the link was lost, and when it came back
	bytesAfter uint64        // brought by the link since it came back, as IP packets
	err        error         // of the transfer
}

// pull downloads while the link is lost and comes back. Its error is one of the
// lab, not of the transfer.
func (t *trial) pull(ctx context.Context, p pull) (got pulled, err error) {
	ctx, cancel := context.WithTimeout(ctx, p.back+time.Minute)
	defer cancel()
	tr := t.begun(ctx, t.through(bytesURL(p.bytes), 0))
	link := t.Network.Link(p.link)
	delivered := func() uint64 {
		_, down := link.Counters()
		return down.Bytes
	}
	var mended uint64
	events := func() error {
		if err := tr.wait(ctx); err != nil {
			return err
		}
		if err := sleep(ctx, p.at); err != nil {
			return err
		}
		got.lost = time.Since(tr.first)
		if err := p.lose(); err != nil {
			return err
		}
		if err := sleep(ctx, p.back-p.at); err != nil {
			return err
		}
		mended, got.back = delivered(), time.Since(tr.first)
		return p.mend()
	}
	if err := events(); err != nil {
		cancel()
		<-tr.done
		return pulled{}, err
	}
	<-tr.done
	got.Result, got.err, got.bytesAfter = tr.Result, tr.err, delivered()-mended
	got.complete = tr.err == nil && tr.Bytes == p.bytes
	return got, nil
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}
