package mptcp

import "testing"

func TestStateString(t *testing.T) {
	for state, want := range map[State]string{0: "UNKNOWN", Established: "ESTABLISHED", SynSent: "SYN-SENT", Close: "CLOSED", 11: "CLOSING", 99: "UNKNOWN"} {
		if got := state.String(); got != want {
			t.Errorf("state %d is %q, want %q", state, got, want)
		}
	}
}
