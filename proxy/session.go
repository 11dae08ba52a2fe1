package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
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

	// Early says how long a client that need not wait for the truth gets to send its
	// first bytes: it is told at once that its stream is open, and what it sends in
	// that time leaves with the request. Zero, and a nil Early, answer when the
	// dialer has returned.
	Early func(*Request) time.Duration

	// Hold says how long the answer to a client that does not wait for it may be left
	// lying, to leave in one write with the server's first bytes. See [Holder].
	Hold time.Duration

	// Bound tells a client from where its destination was reached; nil means that
	// nobody needs to know.
	Bound func(Conn) netip.AddrPort

	mu     sync.Mutex
	open   map[*session]struct{}
	marked [2]time.Time // when the sessions' marks were made, the older one first
	total  atomic.Int64
}

// A session is one request being carried.
type session struct {
	id     int64
	req    *Request
	start  time.Time
	setup  time.Duration // until the streams were joined
	pair   splice.Pair
	early  int64       // bytes of the client that went with the dial
	joined atomic.Bool // the three above are set
	marks  [2]mark     // guarded by Sessions.mu
}

// Serve dials for a request, answers it, and joins the two streams; at the end it
// writes one log line with the totals, closes both streams and calls ended. It
// returns when the session runs by itself, which it does in goroutines of its
// own: the caller's has a stack grown by handshakes, and an idle session should
// not hold that.
func (s *Sessions) Serve(ctx context.Context, req *Request, ended func()) {
	ses := &session{req: req, start: time.Now()}
	s.add(ses)
	if s.connect(ctx, ses) {
		go func() {
			err := ses.pair.Run(ctx)
			up, down := ses.pair.Counts()
			s.log(ses, "session", err, "up", up+ses.early, "down", down, "setup", ses.setup)
			s.remove(ses)
			ended()
		}()
		return
	}
	s.remove(ses)
	ended()
}

// connect makes the pair of a session. If it cannot, it has told the client why
// and written the log line.
func (s *Sessions) connect(ctx context.Context, ses *session) bool {
	req := ses.req
	client, err := s.acceptEarly(req)
	if err != nil {
		s.log(ses, "session lost", err)
		return false
	}
	server, err := s.Dialer.DialStream(ctx, req.To, req.Early)
	if err != nil {
		reason := ReasonOf(err)
		s.log(ses, "session refused", err, "reason", reason.String())
		if client != nil {
			splice.Abort(client)
		} else if err := req.Refuse(reason); err != nil {
			s.Log.Debug("refusal not delivered", "client", req.From, "err", err)
		}
		return false
	}
	ses.early = int64(len(req.Early))
	if client == nil {
		if client, err = s.answer(req, server); err != nil {
			s.log(ses, "session lost", err, "up", ses.early)
			splice.Abort(server)
			return false
		}
	}
	req.Early, req.Pending = nil, nil // an idle session holds no buffer
	ses.pair.Client, ses.pair.Server, ses.pair.Idle = client, server, s.Idle
	ses.setup = time.Since(ses.start)
	ses.joined.Store(true)
	return true
}

// acceptEarly tells a client that need not wait for the truth that its stream is
// open, and takes its first bytes. The Conn is nil for other clients.
func (s *Sessions) acceptEarly(req *Request) (Conn, error) {
	if s.Early == nil || len(req.Early) > 0 {
		return nil, nil
	}
	wait := s.Early(req)
	if wait <= 0 {
		return nil, nil
	}
	client, err := req.Accept(netip.AddrPort{})
	if err != nil {
		return nil, err
	}
	if req.Early, err = firstBytes(client, wait); err != nil {
		splice.Abort(client)
		return nil, fmt.Errorf("client: %w", err)
	}
	return client, nil
}

// answer accepts a request whose server has been reached.
func (s *Sessions) answer(req *Request, server Conn) (Conn, error) {
	var bound netip.AddrPort
	if s.Bound != nil {
		bound = s.Bound(server)
	}
	if h, ok := req.Pending.(Holder); ok && s.Hold > 0 && (req.Told || len(req.Early) > 0) {
		return h.AcceptWithin(bound, s.Hold)
	}
	return req.Accept(bound)
}

// mostEarly is how much is taken of a peer's first bytes: a TLS hello with
// post-quantum key shares, or an HTTP request with its cookies.
const mostEarly = 8 << 10

// firstBytes reads what a peer sends within the time; none is no error, and an end
// of its direction is for the splice to find.
func firstBytes(c Conn, within time.Duration) ([]byte, error) {
	buf := make([]byte, mostEarly)
	c.SetReadDeadline(time.Now().Add(within))
	n, err := c.Read(buf)
	if err == nil || errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, io.EOF) {
		return buf[:n:n], c.SetReadDeadline(time.Time{})
	}
	return nil, err
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
	ses.id = s.total.Add(1)
}

func (s *Sessions) remove(ses *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, ses)
}
