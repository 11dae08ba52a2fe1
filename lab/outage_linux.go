package lab

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// What all links being out is measured with.
const (
	outageTrickles = 10               // sessions of 0.2 Mbit/s, besides a full download
	outageTime     = 30 * time.Second // without any link
	outageWatch    = 6 * time.Second  // afterwards
	outageFlowsMs  = 1000
)

// outage takes all links away for a while, during several sessions.
func outage(ctx context.Context, t *trial) error {
	plain, err := t.beginBoth(ctx)
	if err != nil {
		return err
	}
	for _, how := range []loss{silenced(), unplugged()} {
		t.step(outageTime+outageWatch+5*time.Second, "all links %s for %v", how.what, outageTime)
		ours, theirs, err := compare(t, plain, func(p *trial) (got out, err error) {
			if err := p.anew(ctx); err != nil {
				return got, err
			}
			return p.allOut(ctx, how)
		})
		if err != nil {
			return err
		}
		name := "all links " + how.what + " and back"
		t.figure(name+": the download flows after", ms(ours.first), "ms", atMost(outageFlowsMs))
		t.figure(name+": the last session flows after", ms(ours.last), "ms", atMost(outageFlowsMs))
		t.figure(name+": sessions lost", float64(ours.lost), "", atMost(0))
		t.figure("plain pair, "+name+": the download flows after", ms(theirs.first), "ms", nil)
		t.figure("plain pair, "+name+": the last session flows after", ms(theirs.last), "ms", nil)
		t.figure("plain pair, "+name+": sessions lost", float64(theirs.lost), "", nil)
		t.check("every session survives, "+name, ours.err == nil, "%v", orOK(ours.err))
	}
	return nil
}

// An out is what became of sessions without links. Times are since the links came back;
// a session that did not flow again is entered with all the time it had.
type out struct {
	first, last time.Duration // until the download flowed, and the last of all
	lost        int
	err         error
}

// allOut does it once.
func (t *trial) allOut(ctx context.Context, how loss) (o out, err error) {
	const before = 3 * time.Second
	length := before + outageTime + outageWatch
	ctx, cancel := context.WithTimeout(ctx, length+time.Minute)
	defer cancel()
	sessions := []*transfer{t.begun(ctx, t.through(endless, length))}
	for range outageTrickles {
		sessions = append(sessions, t.begun(ctx, t.through("http://"+ServerName+"/slow?rate=0.2", length)))
	}
	for _, s := range sessions {
		if err := s.wait(ctx); err != nil {
			return o, fmt.Errorf("begin a transfer: %w", err)
		}
	}
	if err := sleep(ctx, before); err != nil {
		return o, err
	}
	if err := t.everyLink(how.lose); err != nil {
		return o, err
	}
	if err := sleep(ctx, outageTime); err != nil {
		return o, err
	}
	back := time.Now()
	if err := t.everyLink(how.mend); err != nil {
		return o, err
	}
	for i, s := range sessions {
		<-s.done
		if s.err != nil {
			o.lost++
			o.err = errors.Join(o.err, s.err)
			continue
		}
		gap := s.GapAfter(back.Sub(s.first))
		flows := s.first.Add(gap.At + gap.Length).Sub(back)
		if i == 0 {
			o.first = flows
		}
		o.last = max(o.last, flows)
	}
	return o, nil
}

func (t *trial) everyLink(do func(*Link) error) (err error) {
	for _, name := range t.Network.Links() {
		err = errors.Join(err, do(t.Network.Link(name)))
	}
	return err
}
