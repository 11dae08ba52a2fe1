package dashboard

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// start serves until the test ends.
func start(t *testing.T) *Server {
	t.Helper()
	s, err := New("127.0.0.1:0", map[string]Answer{
		StatusPath:   func(Ask) any { return map[string]bool{"ready": true} },
		SessionsPath: func(ask Ask) any { return ask.Values },
		"/here":      func(ask Ask) any { return ask.Here },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestStatus(t *testing.T) {
	s := start(t)
	for _, c := range []struct {
		method, path, host string
		want               int
	}{
		{"GET", StatusPath, "", 200},
		{"GET", StatusPath, "localhost:8081", 200},
		{"GET", StatusPath, "[::1]:8081", 200},
		{"GET", StatusPath, "192.168.1.1", 200},
		{"GET", StatusPath, "evil.example", 403}, // DNS rebinding
		{"GET", StatusPath, "localhost.evil.example:8081", 403},
		{"POST", StatusPath, "", 405},
		{"GET", "/", "", 404},
	} {
		req, err := http.NewRequest(c.method, "http://"+s.Addr().String()+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if c.host != "" {
			req.Host = c.host
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != c.want {
			t.Errorf("%s %s with host %q: %s, want %d", c.method, c.path, c.host, resp.Status, c.want)
		}
		if c.want == 200 && (string(body) != "{\n  \"ready\": true\n}\n" || resp.Header.Get("Content-Type") != "application/json") {
			t.Errorf("body %q", body)
		}
		if c.want != 200 && strings.Contains(string(body), "ready") {
			t.Errorf("%s tells the status", resp.Status)
		}
	}
}

// What is behind the question mark reaches the answer.
func TestAsk(t *testing.T) {
	s := start(t)
	resp, err := http.Get("http://" + s.Addr().String() + SessionsPath + "?most=3")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, _ := io.ReadAll(resp.Body); string(body) != "{\n  \"most\": [\n    \"3\"\n  ]\n}\n" {
		t.Errorf("got %q", body)
	}
}

func TestPortInUse(t *testing.T) {
	s := start(t)
	if _, err := New(s.Addr().String(), nil); err == nil || !strings.HasPrefix(err.Error(), "listen for the API: ") {
		t.Error(err)
	}
}

// Only requests over loopback are from this host.
func TestHere(t *testing.T) {
	for at, want := range map[string]bool{"127.0.0.1": true, "127.9.9.9": true, "::1": true, "::ffff:127.0.0.1": true, "192.168.1.1": false, "2001:db8::1": false} {
		r, err := http.NewRequestWithContext(context.WithValue(t.Context(), http.LocalAddrContextKey, &net.TCPAddr{IP: net.ParseIP(at)}), "GET", "/", nil)
		if err != nil || here(r) != want {
			t.Errorf("at %s: %v, want %v; %v", at, here(r), want, err)
		}
	}
	resp, err := http.Get("http://" + start(t).Addr().String() + "/here")
	if err != nil {
		t.Fatal(err)
	}
	if body, _ := io.ReadAll(resp.Body); string(body) != "true\n" {
		t.Errorf("a real one: %q", body)
	}
	resp.Body.Close()
}
