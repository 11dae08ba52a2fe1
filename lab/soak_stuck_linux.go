package lab

import (
	"context"
	"fmt"
	"strings"
)

// stuckMost is how many sessions are told of that do not end.
const stuckMost = 6

// sessions are what the gateway carries, by its own account.
type sessions struct {
	Open int
	List []struct {
		To, MPTCP string
		AgeS      float64 `json:"age_s"`
		BytesUp   int64   `json:"bytes_up"`
		BytesDown int64   `json:"bytes_down"`
		Subflows  []struct {
			Link, Local, State   string
			Timeouts             int
			BytesUp, Retransmits uint64
		}
	}
}

// sessions asks the gateway about the busiest ones.
func (s *System) sessions(ctx context.Context, most int) (all sessions, err error) {
	err = s.api(ctx, fmt.Sprintf("sessions?most=%d", most), &all)
	return all, err
}

// stuck says what the gateway's open sessions hang on.
func (r *soakRun) stuck(ctx context.Context) string {
	sessions, err := r.sessions(ctx, stuckMost)
	if err != nil {
		return err.Error()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d open at the gateway", sessions.Open)
	for _, s := range sessions.List {
		fmt.Fprintf(&b, "; %s for %.0f s, %d up, %d down, mptcp %s:", s.To, s.AgeS, s.BytesUp, s.BytesDown, s.MPTCP)
		for _, f := range s.Subflows {
			fmt.Fprintf(&b, " [%s %s %s, %d timeouts, %d resent]", f.Link, f.Local, f.State, f.Timeouts, f.Retransmits)
		}
		if len(s.Subflows) == 0 {
			b.WriteString(" no subflow")
		}
	}
	return b.String()
}
