package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// ladders captures one connection of the literature's kind and one of ours.
func (r *setupRun) ladders(ctx context.Context) error {
	for _, l := range []struct {
		name, way string
		loopback  bool
		build     func([]Event) (sketch, error)
	}{
		{LadderSOCKS5, WayPassword, false, socksSketch},
		{LadderWarm, WayWarm, true, warmSketch},
	} {
		if err := r.Warm(ctx); err != nil {
			return err
		}
		c, err := r.Network.Capture(l.loopback)
		if err != nil {
			return err
		}
		m, err := r.measure(ctx, helloURL, append(r.by(l.way), "--count", "1")...)
		if err == nil && m.Runs[0].Failed > 0 {
			err = errors.New(m.Runs[0].Samples[0].Error)
		}
		if err == nil {
			err = sleep(ctx, 200*time.Millisecond) // late packets
		}
		events, cerr := c.Stop()
		if err := errors.Join(err, cerr); err != nil {
			return fmt.Errorf("%s: %w", l.name, err)
		}
		s, err := l.build(events)
		if err != nil {
			return fmt.Errorf("%s: %w", l.name, err)
		}
		r.Setup.Ladders[l.name] = s.ladder(r.Network.Links())
	}
	return nil
}

// socksSketch takes the one connection that began while we looked.
func socksSketch(events []Event) (sketch, error) {
	all := bundles(events, RelayPort)
	if len(all) != 1 {
		return sketch{}, fmt.Errorf("%d connections to the relay, want one", len(all))
	}
	s := sketch{hosts: []string{"client", "relay", "final server"}, client: 0, relay: 1, server: 2, began: all[0].began}
	s.events = append(all[0].events, toServer(events)...)
	for _, e := range all[0].events {
		if !e.Up && payload(e) == "answer" {
			s.first = e.Arrived
			break
		}
	}
	return s, s.check()
}

// warmSketch takes the client's connection to the gateway and what the gateway sent
// on connections that were there already: those that it makes to refill its pool are
// another matter.
func warmSketch(events []Event) (sketch, error) {
	s := sketch{hosts: []string{"client", "gateway", "relay", "final server"}, client: 0, gateway: 1, relay: 2, server: 3}
	fresh := map[netip.AddrPort]bool{}
	for _, b := range bundles(events, RelayPort) {
		for _, f := range b.flows {
			fresh[f] = true
		}
	}
	for _, e := range events {
		switch {
		case e.Link == "lo":
			if s.began.IsZero() {
				s.began = e.Sent
			}
			if !e.Up && payload(e) == "answer" && s.first.IsZero() {
				s.first = e.Arrived
			}
		case e.Link == "server", fresh[e.From], fresh[e.To]:
			continue
		}
		s.events = append(s.events, e)
	}
	s.events = append(s.events, toServer(events)...)
	return s, s.check()
}

// toServer are the packets between relay and final server.
func toServer(events []Event) []Event {
	return slices.DeleteFunc(slices.Clone(events), func(e Event) bool {
		return e.Link != "server" || e.From.Port() != PortHTTP && e.To.Port() != PortHTTP
	})
}
