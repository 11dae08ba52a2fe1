package lab

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Targets of handovers in the reference lab. A plain pair is without a byte for 774
// and 1,237 ms when LTE and DSL fall silent, and for 887 ms when one is unplugged.
const (
	silentGapMs = 350
	downGapMs   = 250
	returnS     = 3
)

// A loss is a way to lose a link, and to give it back.
type loss struct {
	what       string
	lose, mend func(*Link) error
}

func unplugged() loss { return loss{"unplugged", (*Link).Down, (*Link).Up} }

func silenced() loss {
	silence := func(on bool) func(*Link) error {
		return func(l *Link) error {
			l.Silence(on)
			return nil
		}
	}
	return loss{"silent", silence(true), silence(false)}
}

func linkDown(ctx context.Context, t *trial) error {
	return t.loseEach(ctx, unplugged(), atMost(downGapMs))
}

func silentLoss(ctx context.Context, t *trial) error {
	return t.loseEach(ctx, silenced(), atMost(silentGapMs))
}

// beginBoth starts programs here and in a plain pair.
func (t *trial) beginBoth(ctx context.Context) (plain *trial, err error) {
	if plain, err = t.beside(ctx); err != nil {
		return nil, err
	}
	return plain, t.both(plain, func(p *trial) error { return p.begin(ctx) })
}

func named(name string) func(*trial) *Link {
	return func(t *trial) *Link { return t.Network.Link(name) }
}

// loseEach loses one link after the other, several times each, during a download at
// full rate.
func (t *trial) loseEach(ctx context.Context, how loss, target *Target) error {
	plain, err := t.beginBoth(ctx)
	if err != nil {
		return err
	}
	for _, link := range t.Network.Links() {
		h := handover{url: endless, at: 3 * time.Second, watch: 2 * time.Second, link: named(link), lose: how.lose, mend: how.mend}
		name := link + " " + how.what
		all, err := t.handOvers(ctx, plain, name, t.times, h)
		if err != nil {
			return err
		}
		t.judge(all, name, "longest gap", "ms", handed.gapMs, target)
	}
	return nil
}

// interactive has the link fall silent that carries a trickle.
func interactive(ctx context.Context, t *trial) error {
	plain, err := t.beginBoth(ctx)
	if err != nil {
		return err
	}
	h := handover{
		url: "http://" + ServerName + "/slow?rate=1", at: 2 * time.Second, watch: 2500 * time.Millisecond,
		link: busiest, lose: silenced().lose, mend: silenced().mend,
	}
	const name = "1 Mbit/s, its link silent"
	all, err := t.handOvers(ctx, plain, name, 2*t.times, h)
	if err != nil {
		return err
	}
	t.judge(all, name, "longest gap", "ms", handed.gapMs, atMost(silentGapMs))
	return nil
}

// busiest is the link that brings the most during a moment.
func busiest(t *trial) (most *Link) {
	brought := func(l *Link) uint64 {
		_, down := l.Counters()
		return down.Bytes
	}
	before := map[string]uint64{}
	for _, name := range t.Network.Links() {
		before[name] = brought(t.Network.Link(name))
	}
	time.Sleep(300 * time.Millisecond)
	var best uint64
	for _, name := range t.Network.Links() {
		if l := t.Network.Link(name); most == nil || brought(l)-before[name] > best {
			most, best = l, brought(l)-before[name]
		}
	}
	return most
}

// returns loses each link for a while, and sees when the same connection uses it again.
func returns(ctx context.Context, t *trial) error {
	plain, err := t.beginBoth(ctx)
	if err != nil {
		return err
	}
	const watch = 8 * time.Second
	for _, how := range []loss{silenced(), unplugged()} {
		for _, link := range t.Network.Links() {
			h := handover{url: endless, at: 3 * time.Second, away: 5 * time.Second, watch: watch, link: named(link), lose: how.lose, mend: how.mend}
			name := link + " back, was " + how.what
			all, err := t.handOvers(ctx, plain, name, 1, h)
			if err != nil {
				return err
			}
			t.judgeReturn(all, name, watch)
			if ours, theirs := all.ours[0], all.theirs[0]; how.what == silenced().what && ours.err == nil && theirs.err == nil {
				t.Courses = append(t.Courses, newCourse(strings.ToUpper(link)+" goes silent and comes back",
					fmt.Sprintf("Rate of a download over both links, while %s carries nothing from %.0f s until %.0f s.", strings.ToUpper(link), h.at.Seconds(), ours.back.Seconds()),
					ours.Result, theirs.Result, h.at, h.at+h.away))
			}
		}
	}
	return nil
}

// judgeReturn enters when the full rate was there again. A transfer that did not come to it is
// entered with all the time it had.
func (t *trial) judgeReturn(all compared, name string, watch time.Duration) {
	full := func(g handed) float64 {
		const span = 5 * BucketLength
		for at := g.back; at+span <= g.back+watch; at += BucketLength {
			if g.MbitBetween(at, at+span) >= bundleShare*bundleMbit {
				return (at - g.back).Seconds()
			}
		}
		return watch.Seconds()
	}
	t.figure(name+": full rate again after", full(all.ours[0]), "s", atMost(returnS))
	t.figure("plain pair, "+name+": full rate again after", full(all.theirs[0]), "s", nil)
	t.check("the download survives, "+name, all.ours[0].err == nil, "%v", orOK(all.ours[0].err))
	t.check("the link is used again, "+name, full(all.ours[0]) < watch.Seconds(), "after %.1f s", full(all.ours[0]))
}
