package gateway

import (
	"slices"
	"sync"
	"time"

	"tributary/bundle"
	"tributary/health"
	"tributary/history"
	"tributary/link"
)

// A steering is which part each link plays, and how that came.
type steering struct {
	looked time.Time     // when it began to look last; of watchLinks alone
	took   time.Duration // by that look; likewise
	again  time.Duration // when to look next; likewise
	mind   bundle.Mind   // likewise
	start  time.Time
	last   bundle.Bundle // what was measured last; likewise

	mu    sync.Mutex
	parts map[string]bundle.Part
	since map[string]time.Time // when its role began
}

// part returns what part a link plays and since when.
func (s *steering) part(name string) (bundle.Part, time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.parts[name], s.since[name]
}

// steer has the parts decided anew, by what was measured last and what is known of
// the links now, and tells the kernel. Where the kernel is not told of the links, each
// plays what others make of it, and there is nothing to decide.
func (g *Gateway) steer() {
	if !g.managed() {
		return
	}
	s := &g.steering
	b := s.last
	s.last.Span = 0 // what was measured is to be counted once
	b.At = time.Since(s.start)
	b.Links = g.observe(b.Links)
	if g.config.Trace != nil {
		g.config.Trace(b)
	}
	parts, again := s.mind.Decide(b)
	s.again = again
	g.told(parts)
	wanted := make(map[string]link.Part, len(parts))
	for name, p := range parts {
		w := link.Part{Role: p.Role}
		if p.Reason == bundle.Dead {
			w.Lost, w.Why = true, p.Why
		}
		wanted[name] = w
	}
	if err := g.config.Links.Steer(wanted); err != nil {
		g.config.Log.Warn("links could not be followed", "err", err)
	}
}

// observe returns what is known of the links now, with what was measured of them.
func (g *Gateway) observe(measured []bundle.Observation) (all []bundle.Observation) {
	probes := make(map[string]health.Status)
	for _, h := range g.monitor.Status() {
		probes[h.Name] = h
	}
	for _, l := range g.config.Links.Links() {
		o := bundle.Observation{Link: l.Name}
		if i := slices.IndexFunc(measured, func(m bundle.Observation) bool { return m.Link == l.Name }); i >= 0 {
			o.Sub = measured[i].Sub
		}
		o.Mode, o.Order, o.Metered = l.Mode, l.Order, l.Metered
		o.Up = l.State == link.Up || l.State == link.Silent
		if h, ok := probes[l.Name]; ok && o.Up {
			o.Health, o.Reason, o.Why = h.Verdict.State, h.Verdict.Reason, h.Verdict.Why
			o.Probes = bundle.Probes{
				RTT: h.RTT, Jitter: h.Jitter, Min: h.MinRTT, Low: h.Recent.Low,
				Loss: h.Loss, Answered: h.Recent.Answered, Missed: h.Recent.Missed,
			}
		}
		all = append(all, o)
	}
	g.accounts.enter(all)
	return all
}

// told notes what was decided, and logs what is new: each decision once.
func (g *Gateway) told(parts map[string]bundle.Part) {
	s := &g.steering
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	since := make(map[string]time.Time, len(parts))
	for name, p := range parts {
		was, known := s.parts[name]
		since[name] = s.since[name]
		if !known || was.Role != p.Role {
			since[name] = now
		}
		if known && was.Role == p.Role && was.Reason == p.Reason {
			continue
		}
		if known || p.Reason != bundle.Wanted {
			g.config.Log.Info("link", "link", name, "role", p.Role.String(), "reason", string(p.Reason), "why", p.Why)
		}
		g.history.Add(history.Decision{At: now, By: "bundle", Link: name, From: was.Role.String(), To: p.Role.String(), Reason: string(p.Reason), Why: p.Why})
	}
	s.parts, s.since = parts, since
}
