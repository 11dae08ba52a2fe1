package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"syscall"
	"time"

	"tributary/dashboard"
	"tributary/gateway"
)

// askTime is what a gateway may take to answer. It is near.
const askTime = 5 * time.Second

// An apiClient asks a gateway for its status.
type apiClient struct {
	at   netip.AddrPort
	http http.Client
}

func newAPIClient(at netip.AddrPort) *apiClient {
	if !at.Addr().IsValid() { // ":PORT" listens on all addresses, this host's own among them
		at = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), at.Port())
	}
	return &apiClient{at: at, http: http.Client{Transport: &http.Transport{}}} // no proxy from the environment
}

// status returns the status as JSON, with most sessions at most if they are wanted.
func (c *apiClient) status(ctx context.Context, sessions bool, most int) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	at := "http://" + c.at.String() + dashboard.StatusPath
	if sessions {
		at += "?" + url.Values{"sessions": {"1"}, "most": {fmt.Sprint(most)}}.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, "GET", at, nil)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		err = fmt.Errorf("ask %s for its status: %w", c.at, unwrapURL(err))
		if errors.Is(err, syscall.ECONNREFUSED) {
			return nil, &hintedError{err, "no gateway runs there: start one with tributary gateway, or name another with --api ADDR:PORT"}
		}
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("ask %s for its status: %s", c.at, resp.Status)
	}
	return io.ReadAll(io.LimitReader(resp.Body, 16<<20))
}

// parse reads a status. What an older gateway does not tell is zero, and what a newer
// one tells besides is passed over.
func (c *apiClient) parse(body []byte) (*gateway.Status, error) {
	var s gateway.Status
	if err := json.Unmarshal(body, &s); err != nil {
		return nil, fmt.Errorf("status of %s: not a gateway's: %w", c.at, err)
	}
	return &s, nil
}

// unwrapURL drops the URL that net/http puts around an error.
func unwrapURL(err error) error {
	if inner := errors.Unwrap(err); inner != nil {
		return inner
	}
	return err
}
