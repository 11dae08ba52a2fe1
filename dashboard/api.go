// Package dashboard serves what a gateway or relay says of itself, as JSON over
// HTTP, to the person in front of it and to scripts.
//
// It listens on loopback unless told otherwise and only ever answers questions.
// A web page that somebody visits must not be able to ask them: requests whose
// Host is a name other than localhost, which is how DNS rebinding arrives, are
// refused.
package dashboard

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"
)

// Where things are served.
const (
	StatusPath   = "/api/status"
	SessionsPath = "/api/sessions"
)

// An Ask is a request.
type Ask struct {
	url.Values // behind the question mark
	// Here is whether it came over loopback, from this very host: others may be told
	// less.
	Here bool
}

// An Answer returns what is served at a path, something that encoding/json can
// encode. It is called for each request.
type Answer func(Ask) any

// A Server is a bound API server.
type Server struct {
	listener net.Listener
	http     http.Server
}

// New binds an address, such as "127.0.0.1:8081", to serve the answers by their
// paths.
func New(addr string, answers map[string]Answer) (*Server, error) {
	var lc net.ListenConfig
	lc.SetMultipathTCP(false)
	l, err := lc.Listen(context.Background(), "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen for the API: %w", err)
	}
	mux := http.NewServeMux()
	for path, answer := range answers {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Cache-Control", "no-store")
			e := json.NewEncoder(w)
			e.SetIndent("", "  ")
			e.Encode(answer(Ask{r.URL.Query(), here(r)})) // fails only if the client has gone
		})
	}
	return &Server{listener: l, http: http.Server{
		Handler:           localOnly(mux),
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
	}}, nil
}

// Addr returns the address that the server listens on.
func (s *Server) Addr() netip.AddrPort { return s.listener.Addr().(*net.TCPAddr).AddrPort() }

// Serve serves until ctx ends.
func (s *Server) Serve(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { s.http.Close() })
	defer stop()
	if err := s.http.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve the API: %w", err)
	}
	return nil
}

// here reports whether a request came to an address that is this host's alone.
func here(r *http.Request) bool {
	at, _ := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	return at != nil && at.IP.IsLoopback()
}

// localOnly lets through requests that name the server by address or as
// localhost.
func localOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		if _, err := netip.ParseAddr(host); err != nil && host != "localhost" {
			http.Error(w, "ask by address or as localhost", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}
