package screen

import (
	"fmt"
	"strings"
	"time"

	"tributary/gateway"
)

// reasons says in sentences what a person should know about a link: why it is not
// alive, not fully used, or not multipath. Nothing is said twice.
func reasons(l *gateway.LinkStatus, now time.Time) (all []string) {
	say := func(text string) {
		text = clean(text)
		for _, told := range all {
			if strings.Contains(told, text) {
				return
			}
		}
		if text != "" {
			all = append(all, text)
		}
	}
	if word, style, _ := standing(l); style == Bad || style == Warning {
		switch {
		case l.State == "up" || l.State == "silent":
			say(word + ": " + firstOf(l.HealthWhy, l.Note))
		case l.Note != "":
			say(word + ": " + l.Note)
		}
	}
	if r := role(l); r != "full" && l.State == "up" && l.Mode != "off" {
		why := l.RoleWhy
		switch {
		case why == "" && l.RoleReason == "mode":
			why = "its mode says so"
		case why == "":
			why = l.RoleReason
		case l.RoleReason != "":
			why = l.RoleReason + ": " + why
		}
		if why != "" {
			say(r + ", " + why)
		}
	}
	for _, text := range passages(l, now) {
		say(text)
	}
	say(l.Note)
	if l.MPTCPWhy == "" && l.Note == "" { // an older gateway
		switch l.MPTCP {
		case "stripped":
			say("something on the way removes MPTCP: the link works alone, not in the bundle")
		case "blocked":
			say("no subflow gets through: the link works alone, not in the bundle")
		}
	}
	if u := l.Usage; u != nil && (u.Allowance > 0 || u.PricePerGB > 0) {
		say("plan: " + u.Words)
	}
	return all
}

// passages says what keeps a link out of the bundle, at which of the relay's ports, since
// when, and when that is asked again.
func passages(l *gateway.LinkStatus, now time.Time) (all []string) {
	why := l.MPTCPWhy
	for _, w := range l.MPTCPWays {
		if w.MPTCP == "ok" || w.MPTCP == "unknown" {
			continue
		}
		text, end := fmt.Sprintf("MPTCP %s at port %d", w.MPTCP, w.Port), ""
		if w.InUse && why != "" {
			text, end, why = fmt.Sprintf("%s (port %d", why, w.Port), ")", ""
		}
		if w.Since != "" {
			text += " for " + since(w.Since, now)
		}
		if next, err := time.Parse(time.RFC3339Nano, w.Next); err == nil {
			text += ", asked again in " + span(next.Sub(now))
		}
		all = append(all, text+end)
	}
	return append(all, why) // of an older gateway
}
