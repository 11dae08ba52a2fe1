package lab

import (
	"context"
	"time"
)

// What the reference lab has to reach; a shadowsocks pair with endpoints made by
// hand reaches 45 Mbit/s.
const (
	bundleMbit  = 45
	bundleShare = 0.9
	firstByteMs = 90
)

func steady(ctx context.Context, t *trial) error {
	if err := t.begin(ctx); err != nil {
		return err
	}
	t.step(4*time.Second, "first byte, direct and through the gateway")
	direct, err := t.firstByte(ctx, Transfer{Dialer: t.home("")}, 7)
	if err != nil {
		return err
	}
	gateway, err := t.firstByte(ctx, t.through("", 0), 7)
	if err != nil {
		return err
	}
	t.figure("first byte, direct TCP", ms(direct), "ms", nil)
	t.figure("first byte, warm gateway", ms(gateway), "ms", atMost(firstByteMs))
	t.check("a request is not slower than direct", ms(gateway) < firstByteSlack*ms(direct), "%.2f of the time", ms(gateway)/ms(direct))
	r, err := t.compare(ctx, Download, endless, atLeast(bundleMbit), func(l LinkStatus) uint64 { return l.BytesDown })
	if err != nil {
		return err
	}
	t.figure("bundle, without the first 2 s", r.MbitBetween(2*time.Second, r.Elapsed), "Mbit/s", nil)
	t.figure("longest gap", ms(r.LongestGap), "ms", nil)
	t.plainTCP()
	return nil
}

func upload(ctx context.Context, t *trial) error {
	if err := t.begin(ctx); err != nil {
		return err
	}
	r, err := t.compare(ctx, Upload, uploadURL, nil, func(l LinkStatus) uint64 { return l.BytesUp })
	if err != nil {
		return err
	}
	t.figure("longest gap", ms(r.LongestGap), "ms", nil)
	t.plainTCP()
	return nil
}

// compare measures each link alone and then the bundle.
func (t *trial) compare(ctx context.Context, do func(context.Context, Transfer) (Result, error), url string, target *Target, bytes func(LinkStatus) uint64) (Result, error) {
	var sum, best float64
	for _, name := range t.Network.Links() {
		t.step(t.length, "%s alone, plain TCP", name)
		r, err := do(ctx, Transfer{Dialer: t.home(name), URL: url, For: t.length})
		if err != nil {
			return r, err
		}
		t.figure(name+" alone, plain TCP", r.Mbit(), "Mbit/s", nil)
		sum, best = sum+r.Mbit(), max(best, r.Mbit())
	}
	if err := t.Warm(ctx); err != nil {
		return Result{}, err
	}
	before, err := t.Status(ctx)
	if err != nil {
		return Result{}, err
	}
	t.step(t.length, "the bundle")
	r, err := do(ctx, t.through(url, t.length))
	if err != nil {
		return r, err
	}
	after, err := t.Status(ctx)
	if err != nil {
		return r, err
	}
	t.figure("bundle", r.Mbit(), "Mbit/s", target)
	t.figure("share of the sum", 100*r.Mbit()/sum, "%", atLeast(100*bundleShare))
	t.check("the bundle beats the best link clearly", r.Mbit() > betterThanBest*best, "%.2f times", r.Mbit()/best)
	diff := carried(before, after)
	for _, name := range t.Network.Links() {
		part := mega(bytes(diff[name]))
		t.figure("of it over "+name, part, "MB", nil)
		t.check(name+" carried a part", part > leastPart*mega(uint64(r.Bytes)), "")
	}
	return r, nil
}

// plainTCP checks what the final server saw from the relay.
func (t *trial) plainTCP() {
	relay, total, multipath := t.Network.Addrs(RelayName)[0], 0, 0
	for _, c := range t.Network.Server().Seen() {
		if c.Peer.Addr() == relay {
			total++
			if c.Multipath {
				multipath++
			}
		}
	}
	t.check("the final server saw plain TCP from the relay", total > 0 && multipath == 0, "%d connections, %d of them with MPTCP", total, multipath)
}
