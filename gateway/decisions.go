package gateway

import (
	"slices"
	"strings"
	"time"
)

// A Decision is something the gateway has decided about a link.
type Decision struct {
	At     string `json:"at"` // RFC 3339, with milliseconds
	By     string `json:"by"` // what decided: "health" on how a link is, "bundle" on the part it plays
	Link   string `json:"link"`
	From   string `json:"from"` // what the link was
	To     string `json:"to"`   // and is since
	Reason string `json:"reason"`
	Why    string `json:"why"` // the evidence, in words
}

// decisionsTold is how many decisions the status has at most.
const decisionsTold = 50

// decisions returns the last ones, oldest first.
func (g *Gateway) decisions() []Decision {
	all := []Decision{}
	if g.monitor != nil {
		for _, d := range g.monitor.Decisions() {
			all = append(all, Decision{
				At: exactly(d.At), By: "health", Link: d.Link,
				From: d.From.String(), To: d.To.String(), Reason: d.Reason.String(), Why: d.Why,
			})
		}
	}
	for _, d := range g.steering.decided() {
		all = append(all, Decision{
			At: exactly(d.At), By: "bundle", Link: d.Link,
			From: d.From.String(), To: d.To.String(), Reason: string(d.Reason), Why: d.Why,
		})
	}
	return lastDecisions(all)
}

// lastDecisions puts decisions of several deciders in order, and keeps the last.
func lastDecisions(all []Decision) []Decision {
	slices.SortStableFunc(all, func(a, b Decision) int { return strings.Compare(a.At, b.At) })
	return all[max(0, len(all)-decisionsTold):]
}

// exactly writes a time so that the order of the texts is that of the times.
func exactly(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
