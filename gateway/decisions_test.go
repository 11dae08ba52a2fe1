package gateway

import (
	"encoding/json"
	"testing"
	"time"

	"tributary/bundle"
	"tributary/health"
	"tributary/link"
	"tributary/passage"
)

// Whoever decides, it is told in the same form, and what repeats once.
func TestDecisions(t *testing.T) {
	g, _ := newTestGateway(t)
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for i := range 3 {
		d := health.Decision{At: at.Add(time.Duration(i) * time.Minute), Link: "lte", From: health.Alive, To: health.Doubtful, Reason: health.Missed, Why: "a probe missed"}
		g.healthDecided(d)
	}
	g.passageDecided(passage.Decision{At: at.Add(3 * time.Minute), Link: "lte", Port: 8443, From: passage.OK, To: passage.Blocked})
	g.told(map[string]bundle.Part{"lte": {Role: link.Out, Reason: bundle.Dead, Why: "silence"}})
	all := g.decisions()
	if now, err := time.Parse(time.RFC3339Nano, all[2].At); err != nil || time.Since(now).Abs() > time.Minute {
		t.Errorf("the last one was at %q", all[2].At)
	}
	all[2].At = "now"
	got, _ := json.MarshalIndent(all, "", "")
	const want = `[
{
"at": "2026-11-23T12:02:00.000Z",
"by": "health",
"link": "lte",
"from": "alive",
"to": "doubtful",
"reason": "missed",
"why": "a probe missed",
"count": 3,
"first": "2026-11-23T12:00:00.000Z"
},
{
"at": "2026-11-23T12:03:00.000Z",
"by": "passage",
"link": "lte",
"port": 8443,
"from": "ok",
"to": "blocked",
"reason": "blocked",
"why": "something on the way drops packets with MPTCP options: used as plain TCP, and only if there is no other link"
},
{
"at": "now",
"by": "bundle",
"link": "lte",
"from": "full",
"to": "out",
"reason": "dead",
"why": "silence"
}
]`
	if string(got) != want {
		t.Errorf("got\n%s", got)
	}
}
