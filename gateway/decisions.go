package gateway

import (
	"time"

	"tributary/health"
	"tributary/history"
	"tributary/passage"
)

// A Decision is something the gateway has decided about a link. The same one again
// within ten minutes is a repetition: then it is told once, with a count.
type Decision struct {
	At string `json:"at"` // the last time; RFC 3339, with milliseconds
	// By is what decided: "health" on how a link is, "bundle" on the part it plays,
	// "passage" on whether MPTCP passes it, at the relay's port Port, "rejoin" on that
	// connections that have lost it join it again.
	By     string `json:"by"`
	Link   string `json:"link"`
	Port   int    `json:"port,omitempty"`
	From   string `json:"from"` // what the link was
	To     string `json:"to"`   // and is since
	Reason string `json:"reason"`
	Why    string `json:"why"` // the evidence, in words
	// Count is how often it was decided, if more than once, and First when that was first.
	Count int    `json:"count,omitempty"`
	First string `json:"first,omitempty"`
}

// healthDecided notes what the monitor has decided. Doubts are worth less than deaths.
func (g *Gateway) healthDecided(d health.Decision) {
	doubt := d.Reason != health.RelaySilent && (d.To == health.Doubtful || d.From == health.Doubtful && d.To == health.Alive)
	g.history.Add(history.Decision{
		At: d.At, By: "health", Link: d.Link, From: d.From.String(), To: d.To.String(), Reason: d.Reason.String(), Why: d.Why, Minor: doubt,
	})
}

func (g *Gateway) passageDecided(d passage.Decision) {
	g.history.Add(history.Decision{
		At: d.At, By: "passage", Link: d.Link, Port: int(d.Port), From: d.From.String(), To: d.To.String(), Reason: d.To.String(), Why: d.To.Why(),
	})
}

// decisions returns the last ones, oldest first.
func (g *Gateway) decisions() []Decision {
	all := []Decision{}
	for _, d := range g.history.Last() {
		t := Decision{At: exactly(d.At), By: d.By, Link: d.Link, Port: d.Port, From: d.From, To: d.To, Reason: d.Reason, Why: d.Why}
		if d.Count > 1 {
			t.Count, t.First = d.Count, exactly(d.First)
		}
		all = append(all, t)
	}
	return all
}

// exactly writes a time so that the order of the texts is that of the times.
func exactly(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
