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

// stuck says what the gateway's open sessions hang on, by its own account.
func (r *soakRun) stuck(ctx context.Context) string {
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		DialContext:       r.Network.Host("home").DialContext,
		DisableKeepAlives: true,
	}}
	req, err := http.NewRequestWithContext(ctx, "GET", fmt.Sprintf("http://127.0.0.1:%d/api/sessions?most=%d", APIPort, stuckMost), nil)
	if err != nil {
		return err.Error()
	}
	resp, err := client.Do(req)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	var sessions struct {
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
	if err := json.NewDecoder(resp.Body).Decode(&sessions); err != nil {
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
