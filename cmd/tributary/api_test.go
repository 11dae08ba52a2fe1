package main

import (
	"net/url"
	"testing"

	"tributary/dashboard"
	"tributary/gateway"
)

// Sessions are told to this host alone.
func TestMost(t *testing.T) {
	for _, tt := range []struct {
		most string
		here bool
		want int
	}{{"", true, gateway.SessionsMost}, {"7", true, 7}, {"-1", true, gateway.SessionsMost}, {"", false, 0}, {"7", false, 0}} {
		if got := most(dashboard.Ask{Values: url.Values{"most": {tt.most}}, Here: tt.here}); got != tt.want {
			t.Errorf("%+v: %d", tt, got)
		}
	}
}
