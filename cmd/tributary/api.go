package main

import (
	"net/url"
	"strconv"

	"tributary/dashboard"
	"tributary/gateway"
)

// gatewayAnswers are what a gateway's API serves. Sessions name clients and whom
// they talk to, and are not cheap: whoever wants them says so, and may say how many.
func gatewayAnswers(g *gateway.Gateway) map[string]dashboard.Answer {
	return map[string]dashboard.Answer{
		dashboard.StatusPath: func(ask url.Values) any {
			s := g.Status()
			if ask.Get("sessions") == "1" {
				s.Sessions = gateway.SessionStatus(g.ListSessions(most(ask)))
			}
			return s
		},
		dashboard.SessionsPath: func(ask url.Values) any { return g.ListSessions(most(ask)) },
	}
}

// most is how many sessions are asked for.
func most(ask url.Values) int {
	n, err := strconv.Atoi(ask.Get("most"))
	if err != nil || n < 0 {
		return gateway.SessionsMost
	}
	return n
}
