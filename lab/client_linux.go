package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"time"
)

// A Transfer is what [Download] and [Upload] do: HTTP from a host, over a
// connection of its own.
type Transfer struct {
	// Dialer says from which host and, if wanted, by which link.
	Dialer Dialer
	// URL is what to fetch or where to post, e.g. "http://server.lab/bytes?n=1e12".
	URL string
	// Proxy is an http, socks5 or socks5h URL, or "" for none. socks5h and http
	// leave names to the proxy; socks5 does too, in net/http.
	Proxy string
	// For ends the transfer after this time, counted from the first byte; without
	// it the transfer goes to its end. An upload needs it or Bytes.
	For time.Duration
	// Bytes is the length of an upload; 0 means as much as For allows.
	Bytes int64
	// RateMbit is how fast an upload is to be, in Mbit/s; 0 is as fast as it can. A
	// download's rate is the server's business, see /slow.
	RateMbit float64
	// Began, if there is one, is called once a download's first byte is there.
	Began func()
}

// Download fetches t.URL and measures. A transfer that t.For ended is a success;
// one that broke or was cancelled by ctx gives an error and what was measured
// until then.
func Download(ctx context.Context, t Transfer) (Result, error) {
	client, err := t.client()
	if err != nil {
		return Result{}, err
	}
	defer client.CloseIdleConnections()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	began := time.Now()
	var first time.Time
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotFirstResponseByte: func() { first = time.Now() },
	})
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, t.URL, nil)
	if err != nil {
		return Result{}, fmt.Errorf("download: %w", err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return Result{}, fmt.Errorf("download: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return Result{}, fmt.Errorf("download %s: answer %s", t.URL, resp.Status)
	}
	over := make(chan struct{})
	if t.For > 0 {
		timer := time.AfterFunc(time.Until(first.Add(t.For)), func() {
			close(over)
			cancel()
		})
		defer timer.Stop()
	}
	if t.Began != nil {
		t.Began()
	}
	m := newMeter(first)
	m.result.FirstByte = first.Sub(began)
	err = m.drain(resp.Body)
	if err != nil {
		m.end(time.Now())
		select {
		case <-over:
			err = nil
		default:
			err = fmt.Errorf("download %s: %w", t.URL, err)
		}
	}
	return m.result, err
}

// errAnswer is that the final server did not understand what it got.
var errAnswer = errors.New("answer")

// Upload posts [Content] to t.URL, which must be the final server's /upload, and
// returns what the server measured: the sender alone would measure its own
// buffers.
func Upload(ctx context.Context, t Transfer) (Result, error) {
	client, err := t.client()
	if err != nil {
		return Result{}, err
	}
	defer client.CloseIdleConnections()
	n := t.Bytes
	if n == 0 {
		n = 1 << 62
	}
	body := Content(n)
	if t.For > 0 {
		body = &untilReader{r: body, length: t.For}
	}
	if t.RateMbit > 0 {
		body = &slowReader{r: body, rate: t.RateMbit * 1e6 / 8}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.URL, body)
	if err != nil {
		return Result{}, fmt.Errorf("upload: %w", err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return Result{}, fmt.Errorf("upload: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return Result{}, fmt.Errorf("upload to %s: %w %s", t.URL, errAnswer, resp.Status)
	}
	var r UploadReport
	if err := json.NewDecoder(resp.Body).Decode(&r); err != nil {
		return Result{}, fmt.Errorf("upload to %s: read the report: %w", t.URL, err)
	}
	return Result{Bytes: r.Bytes, Elapsed: r.Elapsed, LongestGap: r.LongestGap, Buckets: r.Buckets, SHA256: r.SHA256}, nil
}

// An untilReader ends some time after its first Read.
type untilReader struct {
	r      io.Reader
	length time.Duration
	end    time.Time
}

func (u *untilReader) Read(p []byte) (int, error) {
	now := time.Now()
	if u.end.IsZero() {
		u.end = now.Add(u.length)
	}
	if now.After(u.end) {
		return 0, io.EOF
	}
	return u.r.Read(p)
}

// A slowReader reads at a constant rate, in pieces of 10 ms.
type slowReader struct {
	r     io.Reader
	rate  float64 // bytes per second
	began time.Time
	read  int64
}

func (s *slowReader) Read(p []byte) (int, error) {
	if s.began.IsZero() {
		s.began = time.Now()
	}
	piece := min(len(p), max(1, int(s.rate/100)))
	due := s.began.Add(time.Duration(float64(s.read+int64(piece)) / s.rate * 1e9))
	time.Sleep(time.Until(due))
	n, err := s.r.Read(p[:piece])
	s.read += int64(n)
	return n, err
}

// client returns an HTTP client for this one transfer.
func (t Transfer) client() (*http.Client, error) {
	tr := &http.Transport{DialContext: t.Dialer.DialContext, DisableCompression: true}
	if t.Proxy != "" {
		proxy, err := url.Parse(t.Proxy)
		if err != nil {
			return nil, fmt.Errorf("proxy: %w", err)
		}
		tr.Proxy = http.ProxyURL(proxy)
	}
	return &http.Client{Transport: tr}, nil
}
