package proxy

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"tributary/splice"
)

// Sessions carries requests: it dials for each and joins the two streams. Its
// fields are set before the first Serve.
type Sessions struct {
	Dialer Dialer
	Log    *slog.Logger

	// Idle ends a session in which nothing moved for so long; 0 means never.
	Idle time.Duration

	// Bound tells a client from where its destination was reached; nil means that
	// nobody needs to know.
	Bound func(Conn) netip.AddrPort

	mu    sync.Mutex
	open  map[*session]struct{}
	total atomic.Int64
}

// A session is one request being carried.
type session struct {
	req   *Request
	start time.Time
	pair  splice.Pair
}

// Serve carries one request to its end: dial, answer, join, and one log line
// with the totals. It closes both streams.
func (s *Sessions) Serve(ctx context.Context, req *Request) {
	ses := &session{req: req, start: time.Now()}
	s.add(ses)
	defer s.remove(ses)
	server, err := s.Dialer.DialStream(ctx, req.To, req.Early)
	if err != nil {
		reason := ReasonOf(err)
		s.log(ses, "session refused", err, "reason", reason.String())
		if err := req.Refuse(reason); err != nil {
			s.Log.Debug("refusal not delivered", "client", req.From, "err", err)
		}
		return
	}
	early := int64(len(req.Early))
	req.Early = nil // the dialer has sent it; an idle session holds no buffer

	var bound netip.AddrPort
	if s.Bound != nil {
		bound = s.Bound(server)
	}
	client, err := req.Accept(bound)
	if err != nil {
		s.log(ses, "session lost", err)
		splice.Abort(server)
		return
	}
	ses.pair.Client, ses.pair.Server, ses.pair.Idle = client, server, s.Idle
	setup := time.Since(ses.start)
	err = ses.pair.Run(ctx)
	up, down := ses.pair.Counts()
	s.log(ses, "session", err, "up", up+early, "down", down, "setup", setup)
}

// log writes a session's one line; its attributes are made only now, since an
// idle session should not hold them.
func (s *Sessions) log(ses *session, msg string, err error, more ...any) {
	attrs := append([]any{"client", ses.req.From, "to", ses.req.To.String(), "inbound", ses.req.Inbound}, more...)
	if ses.req.User != "" {
		attrs = append(attrs, "account", ses.req.User)
	}
	attrs = append(attrs, "took", time.Since(ses.start))
	if err != nil {
		attrs = append(attrs, "err", err)
	}
	s.Log.Info(msg, attrs...)
}

// Counts returns how many sessions are open now and how many there were since
// the start, those included.
func (s *Sessions) Counts() (open int, total int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open), s.total.Load()
}

func (s *Sessions) add(ses *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open = make(map[*session]struct{})
	}
	s.open[ses] = struct{}{}
	s.total.Add(1)
}

func (s *Sessions) remove(ses *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, ses)
}
