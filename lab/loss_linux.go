package lab

import (
	"context"
	"time"
)

// Targets of handovers in the reference lab, in ms. A plain pair loses 774 and
// 1,237 ms when LTE and DSL fall silent, and 887 when one is unplugged.
const (
	silentGapMs = 350
	downGapMs   = 250
)

func linkDown(ctx context.Context, t *trial) error {
	return t.loseEach(ctx, "unplugged", atMost(downGapMs), (*Link).Down, (*Link).Up)
}

func silentLoss(ctx context.Context, t *trial) error {
	return t.loseEach(ctx, "silent", atMost(silentGapMs), (*Link).goSilent, (*Link).speak)
}

func (l *Link) goSilent() error {
	l.Silence(true)
	return nil
}

func (l *Link) speak() error {
	l.Silence(false)
	return nil
}

// loseEach loses one link after the other, several times each, during a download at
// full rate.
func (t *trial) loseEach(ctx context.Context, what string, target *Target, lose, mend func(*Link) error) error {
	plain, err := t.beside(ctx)
	if err != nil {
		return err
	}
	if err := t.both(plain, func(p *trial) error { return p.begin(ctx) }); err != nil {
		return err
	}
	for _, name := range t.Network.Links() {
		h := handover{
			url: endless, at: 3 * time.Second, watch: 2 * time.Second,
			link: func(p *trial) *Link { return p.Network.Link(name) }, lose: lose, mend: mend,
		}
		if err := t.handOvers(ctx, plain, name+" "+what, t.times, h, target); err != nil {
			return err
		}
	}
	return nil
}
