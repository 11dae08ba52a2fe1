package main

import (
	"strconv"

	"tributary/dashboard"
	"tributary/gateway"
)

// gatewayAnswers are what a gateway's API serves. Sessions name clients and whom
// they talk to, and are not cheap: whoever wants them says so, and may say how many;
// and only this host is told, for there is no password.
func gatewayAnswers(g *gateway.Gateway) map[string]dashboard.Answer {
	return map[string]dashboard.Answer{
		dashboard.StatusPath: func(ask dashboard.Ask) any {
			s := g.Status()
			if ask.Get("sessions") == "1" {
				s.Sessions = gateway.SessionStatus(g.ListSessions(most(ask)))
			}
			return s
		},
		dashboard.SessionsPath: func(ask dashboard.Ask) any { return g.ListSessions(most(ask)) },
	}
}

// most is how many sessions are to be told.
func most(ask dashboard.Ask) int {
	if !ask.Here {
		return 0
	}
	n, err := strconv.Atoi(ask.Get("most"))
	if err != nil || n < 0 {
		return gateway.SessionsMost
	}
	return n
}
