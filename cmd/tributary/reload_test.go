package main

import "testing"

// Without a configuration there is nothing to read again, and the relay's ends with it.
func TestSIGHUPEnds(t *testing.T) {
	for _, args := range [][]string{
		{"tributary"}, {"tributary", "gateway"}, {"tributary", "gateway", "--link", "config"},
		{"tributary", "relay", "--config", "x"}, {"tributary", "lab", "gateway", "-config=x"},
	} {
		if reloads(args) {
			t.Errorf("%q reads again", args)
		}
	}
	for _, arg := range []string{"--config", "-config", "--config=x"} {
		if !isConfig(arg) {
			t.Errorf("%q is no configuration", arg)
		}
	}
}
