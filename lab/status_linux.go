package lab

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// A Status is the part of the gateway's status that the lab looks at.
type Status struct {
	Relay struct {
		State string
	}
	Multipath struct {
		OK  bool
		Why string
	}
	Links []LinkStatus
	Pool  struct {
		Warm         int
		Hits, Misses int64
		Recycled     int64   // of the hits: on a connection that carried another before
		Raced, Won   int64   // requests sent over two links, and won by the second
		ProbeSeconds float64 `json:"probe_s"` // how often each subflow is probed at rest
		LastsSeconds float64 `json:"lasts_s"` // how long a connection lasts at rest
	}
	Sessions struct {
		Open  int
		Total int64
	}
}

// A LinkStatus is what the gateway says of one link; bytes are the kernel's
// subflow counters.
type LinkStatus struct {
	Name, State, MPTCP string
	Health, Role       string
	RTTms              float64 `json:"rtt_ms"`
	BytesUp            uint64  `json:"bytes_up"`
	BytesDown          uint64  `json:"bytes_down"`
	UpkeepBytes        uint64  `json:"upkeep_bytes"`
	Metered            bool
	Usage              struct {
		Bytes         uint64
		Thrift, Words string
	}
}

// Status asks the gateway.
func (s *System) Status(ctx context.Context) (st Status, err error) {
	err = s.api(ctx, "status", &st)
	return st, err
}

// api has the gateway tell about something.
func (s *System) api(ctx context.Context, about string, answer any) error {
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		DialContext:       s.Network.Host("home").DialContext,
		DisableKeepAlives: true,
	}}
	req, err := http.NewRequestWithContext(ctx, "GET", fmt.Sprintf("http://127.0.0.1:%d/api/%s", APIPort, about), nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("ask the gateway for its %s: %w", about, err)
	}
	defer resp.Body.Close()
	return json.NewDecoder(bufio.NewReader(resp.Body)).Decode(answer)
}

// WaitStatus asks the gateway until ok is satisfied.
func (s *System) WaitStatus(ctx context.Context, what string, ok func(Status) bool) (Status, error) {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	for {
		st, err := s.Status(ctx)
		if err == nil && ok(st) {
			return st, nil
		}
		select {
		case <-ctx.Done():
			return st, fmt.Errorf("the gateway's status never showed %s: %+v %w", what, st, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Warm waits until the pool is filled: the system is at rest.
func (s *System) Warm(ctx context.Context) error {
	_, err := s.WaitStatus(ctx, "a filled pool", func(st Status) bool { return st.Pool.Warm >= 8 })
	return err
}
