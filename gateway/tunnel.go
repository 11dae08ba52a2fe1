package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"tributary/proto/shadowsocks"
	"tributary/proto/socks"
	"tributary/proxy"
	"tributary/splice"
)

const (
	// answerTime is how long the relay may take to say what became of a request, if
	// nothing is heard of it meanwhile. Its own attempts end after 10 s.
	answerTime = 15 * time.Second

	// openTime is how long a request may go, over all its tries, without the relay's
	// kernel acknowledging it, if nothing else is heard of it either. Clients get an
	// error within 5 s.
	openTime = 4800 * time.Millisecond

	// silenceTime is how long a request may go without even the relay's kernel
	// acknowledging it, until its connection counts as dead.
	silenceTime = time.Second

	// retainMost is how many of the client's bytes are kept for another try.
	retainMost = 128 << 10

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
	waits  bool // the client waits for the answer

	conn     atomic.Pointer[relayConn] // replaced only before the answer
	answered atomic.Bool
	closed   atomic.Bool
	tries    int       // used by open alone
	until    time.Time // when it is given up, if nothing is heard of the relay

	order chan struct{} // full while somebody writes before the answer, which may block

	mu       sync.Mutex // guards the rest, never for long
	sent     []byte     // the client's bytes so far
	overflow bool       // there were too many to keep
	ended    bool       // the client has ended its direction
	given    int        // how many those are
	base     uint64     // what was written before the request
	baseOK   bool
	wrote    time.Time  // when the request was
	flow     proxy.Flow // of the request, zero where it has none
	asked    int        // how often the relay was asked by that name
	// undelivered is that the request broke with its connection before the relay's
	// kernel had any of it. Then another run of the relay may open the stream, too.
	undelivered bool
	rival       *rival // asks for the same
	settled     bool   // the answer has come
}

// open gets a connection and writes the request on it, with what the client has
// sent so far.
func (t *tunnel) open() error {
	for {
		t.tries++
		conn, err := t.dialer.get(t.ctx, t.to, t.tries, t.until, t.sameFlow())
		if err != nil {
			return err
		}
		t.order <- struct{}{}
		err = t.request(conn)
		<-t.order
		if t.closed.Load() { // meanwhile, and it may have closed the one before
			splice.Abort(conn)
			return net.ErrClosed
		}
		if err == nil {
			if u := t.dialer.upstream; u.doubtful() && (u.hasOthers() || !u.managed()) {
				t.race()
			}
			return nil
		}
		splice.Abort(conn) // the write failed: nothing was delivered
		t.mu.Lock()
		t.undelivered = true
		t.mu.Unlock()
		if t.tries >= tries {
			return t.dialer.upstream.failed(fmt.Errorf("send request to relay: %w", err))
		}
	}
}

// request makes conn the tunnel's, and writes the request in one piece.
func (t *tunnel) request(conn *relayConn) (err error) {
	base, known := conn.written()
	t.mu.Lock()
	t.base, t.baseOK, t.wrote = base, known, time.Now()
	sent, ended, lost := t.sent, t.ended, t.overflow
	t.mu.Unlock()
	if lost { // between the decision to try again and now
		t.conn.Store(conn)
		return errors.New("the client has sent more than was kept")
	}
	msg, err := t.message(conn, t.flowOf(conn), sent)
	t.conn.Store(conn)
	if err != nil {
		return err
	}
	return t.send(conn, msg, ended)
}

// message begins a stream on conn and returns what asks for it, with what the
// client has sent.
func (t *tunnel) message(conn *relayConn, flow proxy.Flow, sent []byte) (msg []byte, err error) {
	if conn.tls == nil {
		return sent, nil // the stream itself knows where to
	}
	var hello []byte
	if conn.pending {
		u := t.dialer.upstream
		if hello, err = socks.AppendLogin(nil, u.to.Account, u.to.Secret.Text()); err != nil {
			return nil, err
		}
	}
	if conn.begin(hello, t.dialer.pool.put) {
		return socks.AppendOwn(nil, !t.waits, flow, t.to, sent), nil
	}
	return socks.AppendConnect(hello, t.to, sent), nil
}

// send writes a message, and the client's end if that has come.
func (t *tunnel) send(conn *relayConn, msg []byte, ended bool) error {
	conn.SetDeadline(time.Now().Add(answerTime + answerPatience))
	_, err := conn.Write(msg)
	if err == nil && ended {
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
		broke := err != nil && t.broke(conn, err) // now: its kernel may acknowledge what nobody reads
		conn, err = t.judge(conn, err, broke)
		var refusal *proxy.Error
		refused := errors.As(err, &refusal)
		if conn.tls == nil && (err == nil || refused) {
			t.dialer.upstream.shadow.cleared()
		}
		if err == nil {
			t.dialer.memory.learn(t.to, nil)
			return t.settle(conn)
		}
		if refused {
			t.dialer.memory.learn(t.to, err)
			t.closed.Store(true)
			t.cancel()
			splice.Abort(conn) // a goodbye would wait for what the client is sending
			return nil, err
		}
		again := t.replaceable(err, broke)
		if conn.tls == nil && !t.closed.Load() && !errors.Is(err, errOtherRun) && !errors.Is(err, errLost) {
			t.dialer.upstream.shadow.failed()
		}
		splice.Abort(conn)
		t.dropRival()
		if !again {
			t.cancel()
			return nil, t.dialer.upstream.failed(fmt.Errorf("wait for the relay's answer: %w", err))
		}
		t.dialer.log.Debug("request moves to another connection", "to", t.to.String(), "err", err)
		if err := t.open(); err != nil {
			return nil, err
		}
	}
}

// settle ends the time in which another connection could take this one's place.
func (t *tunnel) settle(conn *relayConn) (splice.Conn, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.settled, t.sent = true, nil
	t.answered.Store(true)
	if t.rival != nil {
		t.rival.cancel() // which does nothing to one that has won
	}
	return conn.stream, conn.SetDeadline(time.Time{})
}

// answer waits for the relay's answer to what request wrote, with an eye on how
// long that takes.
func (t *tunnel) answer(conn *relayConn) error {
	late := time.AfterFunc(max(2*conn.setup, conn.setup+ackSlack), func() { t.hedge(conn) })
	defer late.Stop()
	quiet := time.AfterFunc(max(silenceTime, 3*conn.setup), func() { t.giveUpSilence(conn, false) })
	defer quiet.Stop()
	u := t.dialer.upstream
	defer u.whenGivenUp(t.until, openTime, patience, func() { t.giveUpSilence(conn, true) })()
	defer u.whenGivenUp(time.Now().Add(answerTime), answerTime, answerPatience, func() { t.wake(conn) })()
	return t.read(conn)
}

// read reads the relay's answers.
func (t *tunnel) read(conn *relayConn) (err error) {
	if conn.pending {
		if err := t.dialer.upstream.loginAnswer(conn); err != nil {
			return err
		}
		conn.pending = false
	}
	if conn.tls == nil {
		return shadowsocks.ReadOutcome(conn)
	}
	_, err = socks.ReadReply(conn)
	return err
}

// wake ends the wait for the answer on conn, unless that is over.
func (t *tunnel) wake(conn *relayConn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.settled {
		conn.SetReadDeadline(time.Unix(1, 0))
	}
}

// replaceable reports whether another connection may be tried after err.
func (t *tunnel) replaceable(err error, broke bool) bool {
	t.mu.Lock()
	bare, overflow, named := t.given == 0, t.overflow, t.flow != (proxy.Flow{})
	t.mu.Unlock()
	switch {
	case t.closed.Load() || overflow || t.tries >= tries:
		return false
	case bare || errors.Is(err, errOtherRun):
		return true
	case errors.Is(err, errLost):
		return false
	case broke:
		t.mu.Lock()
		t.undelivered = true
		t.mu.Unlock()
		return true
	}
	return named // if it has arrived after all, the relay will say so
}

// Write sends the client's bytes on. Before the answer it reports no failure of
// the connection: Settle sees that too, and knows what to do.
func (t *tunnel) Write(p []byte) (n int, err error) {
	for err == nil && n < len(p) {
		if t.answered.Load() {
			m, err := t.conn.Load().Write(p[n:])
			return n + m, err
		}
		var m int
		m, err = t.write(p[n : n+t.room(len(p)-n)])
		n += m
	}
	return n, err
}

// write is Write for bytes that may be sent now, before the answer.
func (t *tunnel) write(p []byte) (int, error) {
	t.order <- struct{}{}
	defer func() { <-t.order }()
	if t.closed.Load() {
		return 0, net.ErrClosed
	}
	at, kept := t.keep(p)
	conn := t.conn.Load()
	n, err := conn.Write(p)
	if rn, rerr, took := t.rivalOf().pass(conn, at, p); took && (err != nil || t.conn.Load() != conn) {
		n, err = rn, rerr // it has won, or may
	}
	if kept && !t.answered.Load() {
		return len(p), nil
	}
	return n, err
}

// keep notes bytes of the client for another try, and says at which place of the
// stream they are. False means that there were too many, and that there will be no
// other try.
func (t *tunnel) keep(p []byte) (at int, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	at = t.given
	t.given += len(p)
	switch {
	case t.settled:
		return at, false
	case t.overflow || t.given > retainMost:
		t.overflow, t.sent = true, nil
		return at, false
	}
	t.sent = append(t.sent, p...)
	return at, true
}

// CloseWrite ends the client's direction.
func (t *tunnel) CloseWrite() error {
	if t.answered.Load() {
		return t.conn.Load().CloseWrite()
	}
	t.order <- struct{}{}
	defer func() { <-t.order }()
	t.mu.Lock()
	t.ended = true
	t.mu.Unlock()
	conn := t.conn.Load()
	conn.CloseWrite() // as in Write
	t.rivalOf().passEnd(conn)
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
