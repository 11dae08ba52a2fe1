package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"tributary/proto/shadowsocks"
	"tributary/proto/socks"
	"tributary/proxy"
	"tributary/splice"
)

const (
	// answerTime is how long the relay may take to say what became of a request.
	// Its own attempts end after 10 s.
	answerTime = 15 * time.Second

	// openTime is how long a request may go, over all its tries, without the relay's
	// kernel acknowledging it. Clients get an error within 5 s.
	openTime = 4800 * time.Millisecond

	// silenceTime is how long a request may go without even the relay's kernel
	// acknowledging it, until its connection counts as dead.
	silenceTime = time.Second

	// retainMost is how many of the client's bytes are kept for another try.
	retainMost = 64 << 10

	// tries is how many connections one request may use up.
	tries = 3
)

// A tunnel is a stream through the relay whose answer may not have come yet. The
// client's bytes can be written at once; until the answer is here they are also
// kept, so that a connection that turns out to be dead can be replaced.
//
// It is replaced only when nothing of the client's was delivered: when all that
// was sent is the request itself, which opens a stream and does no more, or when a
// reset came and the kernel had no acknowledgement since before the request was
// written. That nobody answers says nothing: the way back alone may be dead.
type tunnel struct {
	ctx    context.Context
	cancel context.CancelFunc
	dialer *dialer
	to     proxy.Addr

	conn     atomic.Pointer[relayConn] // replaced only before the answer
	answered atomic.Bool
	closed   atomic.Bool
	tries    int       // used by open alone
	until    time.Time // when the relay must have been heard of

	order sync.Mutex // held while writing before the answer; a write may block

	mu       sync.Mutex // guards the rest, never for long
	sent     []byte     // the client's bytes so far
	overflow bool       // there were too many to keep
	ended    bool       // the client has ended its direction
	base     uint64     // what was acknowledged before the request
	baseOK   bool
}

// open gets a connection and writes the request on it, with what the client has
// sent so far.
func (t *tunnel) open() error {
	for {
		t.tries++
		conn, err := t.dialer.get(t.ctx, t.to, t.tries, t.until)
		if err != nil {
			return err
		}
		t.order.Lock()
		err = t.request(conn)
		t.order.Unlock()
		if t.closed.Load() { // meanwhile, and it may have closed the one before
			splice.Abort(conn)
			return net.ErrClosed
		}
		if err == nil {
			return nil
		}
		splice.Abort(conn) // the write failed: nothing was delivered
		if t.tries >= tries {
			return t.dialer.upstream.failed(fmt.Errorf("send request to relay: %w", err))
		}
	}
}

// request makes conn the tunnel's, and writes the request in one piece.
func (t *tunnel) request(conn *relayConn) (err error) {
	base, known := conn.acked()
	t.mu.Lock()
	t.base, t.baseOK = base, known
	sent, ended := t.sent, t.ended
	t.mu.Unlock()
	var hello []byte
	if conn.pending {
		u := t.dialer.upstream
		hello, err = socks.AppendLogin(nil, u.to.Account, u.to.Secret.Text())
	}
	msg := sent
	switch {
	case conn.tls == nil: // the stream itself knows where to
	case conn.begin(hello, t.dialer.pool.put):
		msg = socks.AppendOwn(nil, proxy.Flow{}, t.to, sent)
	default:
		msg = socks.AppendConnect(hello, t.to, sent)
	}
	t.conn.Store(conn)
	if err != nil {
		return err
	}
	conn.SetDeadline(time.Now().Add(answerTime))
	if _, err = conn.Write(msg); err == nil && ended {
		err = conn.CloseWrite()
	}
	return err
}

// Settle waits for the relay's answer. It returns the stream itself, or the
// refusal; a connection that dies before the answer is replaced if that is safe.
func (t *tunnel) Settle() (splice.Conn, error) {
	for {
		conn := t.conn.Load()
		err := t.answer(conn)
		if err == nil {
			t.dialer.memory.learn(t.to, nil)
			t.answered.Store(true)
			t.forget()
			return conn.stream, nil
		}
		var refusal *proxy.Error
		if errors.As(err, &refusal) {
			t.dialer.memory.learn(t.to, err)
			t.closed.Store(true)
			t.cancel()
			splice.Abort(conn) // a goodbye would wait for what the client is sending
			return nil, err
		}
		again := t.replaceable(conn, err) // asks the socket, so before it is closed
		if conn.tls == nil && !t.closed.Load() {
			t.dialer.upstream.shadow.failed(true)
		}
		splice.Abort(conn)
		if !again {
			return nil, t.dialer.upstream.failed(fmt.Errorf("wait for the relay's answer: %w", err))
		}
		t.dialer.log.Debug("request moves to another connection", "to", t.to.String(), "err", err)
		if err := t.open(); err != nil {
			return nil, err
		}
	}
}

// answer reads the relay's answers to what request wrote.
func (t *tunnel) answer(conn *relayConn) error {
	quiet := time.AfterFunc(max(silenceTime, 3*conn.setup), func() { t.giveUpSilence(conn, false) })
	defer quiet.Stop()
	dead := time.AfterFunc(time.Until(t.until), func() { t.giveUpSilence(conn, true) })
	defer dead.Stop()
	if conn.pending {
		if err := t.dialer.upstream.loginAnswer(conn); err != nil {
			return err
		}
		conn.pending = false
	}
	var err error
	if conn.tls == nil {
		err = shadowsocks.ReadOutcome(conn)
	} else {
		_, err = socks.ReadReply(conn)
	}
	if err != nil {
		return err
	}
	return conn.SetDeadline(time.Time{})
}

// giveUpSilence ends a connection that swallowed the request, so that another is
// tried. At first it leaves alone one that carries bytes of the client: they may
// be on their way still, and the kernel moves them to another link by itself. In
// the end it gives up those too.
func (t *tunnel) giveUpSilence(conn *relayConn, inTheEnd bool) {
	t.mu.Lock()
	n, ok := conn.acked()
	silent := ok && t.baseOK && n == t.base
	bare := len(t.sent) == 0 && !t.overflow
	t.mu.Unlock()
	if !silent || !bare && !inTheEnd {
		return
	}
	conn.SetReadDeadline(time.Unix(1, 0))
	t.dialer.pool.suspect()
}

// replaceable reports whether another connection may be tried after err.
func (t *tunnel) replaceable(conn *relayConn, err error) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed.Load() || t.overflow || t.tries >= tries {
		return false
	}
	if len(t.sent) == 0 {
		return true
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	n, ok := conn.acked()
	return ok && t.baseOK && n == t.base
}

// Write sends the client's bytes on. Before the answer it reports no failure of
// the connection: Settle sees that too, and knows what to do.
func (t *tunnel) Write(p []byte) (int, error) {
	if t.answered.Load() {
		return t.conn.Load().Write(p)
	}
	t.order.Lock()
	defer t.order.Unlock()
	if t.closed.Load() {
		return 0, net.ErrClosed
	}
	kept := t.keep(p)
	n, err := t.conn.Load().Write(p)
	switch {
	case t.answered.Load(): // meanwhile
		t.forget()
	case kept:
		return len(p), nil
	}
	return n, err
}

// keep notes bytes of the client for another try; false means that there were too
// many, and that there will be no other try.
func (t *tunnel) keep(p []byte) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.overflow || len(t.sent)+len(p) > retainMost {
		t.overflow, t.sent = true, nil
		return false
	}
	t.sent = append(t.sent, p...)
	return true
}

func (t *tunnel) forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sent = nil
}

// CloseWrite ends the client's direction.
func (t *tunnel) CloseWrite() error {
	if t.answered.Load() {
		return t.conn.Load().CloseWrite()
	}
	t.order.Lock()
	defer t.order.Unlock()
	t.mu.Lock()
	t.ended = true
	t.mu.Unlock()
	t.conn.Load().CloseWrite() // as in Write
	return nil
}

// Read is for callers that do not Settle first.
func (t *tunnel) Read(p []byte) (int, error) {
	if !t.answered.Load() {
		if _, err := t.Settle(); err != nil {
			return 0, err
		}
	}
	return t.conn.Load().Read(p)
}

// Close gives the stream up, and the search for a connection with it.
func (t *tunnel) Close() error {
	t.closed.Store(true)
	t.cancel()
	return t.conn.Load().Close()
}

// SetLinger is the socket's; 0 makes Close an abort.
func (t *tunnel) SetLinger(sec int) error { return t.conn.Load().SetLinger(sec) }

// LocalAddr and RemoteAddr are those of the connection to the relay.
func (t *tunnel) LocalAddr() net.Addr  { return t.conn.Load().LocalAddr() }
func (t *tunnel) RemoteAddr() net.Addr { return t.conn.Load().RemoteAddr() }

// SetDeadline and its kin are the connection's.
func (t *tunnel) SetDeadline(d time.Time) error      { return t.conn.Load().SetDeadline(d) }
func (t *tunnel) SetReadDeadline(d time.Time) error  { return t.conn.Load().SetReadDeadline(d) }
func (t *tunnel) SetWriteDeadline(d time.Time) error { return t.conn.Load().SetWriteDeadline(d) }
