package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
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

// sessions asks the gateway.
func (s *System) sessions(ctx context.Context, most int) (all sessions, err error) {
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		DialContext:       s.Network.Host("home").DialContext,
		DisableKeepAlives: true,
	}}
	req, err := http.NewRequestWithContext(ctx, "GET", fmt.Sprintf("http://127.0.0.1:%d/api/sessions?most=%d", APIPort, most), nil)
	if err != nil {
		return all, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return all, fmt.Errorf("ask the gateway for its sessions: %w", err)
	}
	defer resp.Body.Close()
	return all, json.NewDecoder(resp.Body).Decode(&all)
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
