package gateway

import (
	"time"

	"tributary/health"
)

// silentLong is how long no link must have heard the relay until connections join
// their links anew when one does: a subflow then tries again by itself only after
// about as much time again.
const silentLong = 2 * time.Second

// revive has connections join the links anew that were silent together with all
// others, and answer again. A link that is silent alone has lost its endpoint, and
// gets it back.
func (g *Gateway) revive(now time.Time) {
	var back []string
	for _, l := range g.probed() {
		v := g.monitor.Verdict(l.Name)
		since, was := g.outage[l.Name]
		switch {
		case v.State == health.Doubtful && v.Reason == health.RelaySilent:
			if !was {
				g.outage[l.Name] = now
			}
		case v.State == health.Dead: // its endpoint is gone
			delete(g.outage, l.Name)
		case was:
			delete(g.outage, l.Name)
			if now.Sub(since) >= silentLong {
				back = append(back, l.Name)
			}
		}
	}
	if err := g.config.Links.Renew(back); err != nil {
		g.config.Log.Warn("links could not be followed", "err", err)
	}
}
