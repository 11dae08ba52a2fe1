package health

import (
	"net/netip"
	"testing"
	"time"
)

// TestOtherPorts has links that let probes through to one port of three, from the
// beginning or from some time on: that one is found and kept, and looked for slowly where
// there is none.
func TestOtherPorts(t *testing.T) {
	also := []netip.AddrPort{netip.AddrPortFrom(relay.Addr(), 443), netip.AddrPortFrom(relay.Addr(), 8080)}
	idle := func(l *line) *line {
		l.busy = nil
		return l
	}
	rtt := 40 * ms
	for name, spans := range map[string][]span{
		"always":     {{rtt: rtt, only: 8080}},
		"later":      {{rtt: rtt}, {from: time.Minute, rtt: rtt, only: 443}},
		"there":      {{rtt: rtt, only: 443}},
		"and back":   {{rtt: rtt, only: 8080}, {from: 2 * time.Minute, rtt: rtt, only: 8443}},
		"unfiltered": {{rtt: rtt}},
	} {
		t.Run(name, func(t *testing.T) {
			history(t, &world{also: also, lines: []*line{idle(&line{name: "dsl", spans: spans}), idle(lte())}}, func(w *world) {
				w.until(12 * sec)
				w.is("dsl", Alive, Answers)
				w.until(10 * time.Minute)
				w.is("dsl", Alive, Answers)
				w.never("dsl", Dead)
			})
		})
	}
	history(t, &world{also: also, lines: []*line{idle(&line{name: "dsl", spans: []span{{rtt: rtt, deaf: true}}})}}, func(w *world) {
		w.until(time.Hour)
		w.is("dsl", Unknown, NoAnswers)
		if n := w.sent["dsl"]; n > 300 {
			t.Errorf("%d probes in an hour", n)
		}
		if n := len(w.decisions()); n > 1 {
			t.Errorf("%d decisions", n)
		}
	})
}
