// Package stale ends subflows that are dead and have others wait.
//
// When all links of a gateway are gone, nothing can tell the relay that their subflows
// have ended (REMOVE_ADDR is sent once, over what is left). They come back as new ones,
// while what was on its way over the old ones waits there: the kernel sends that again
// piece by piece, behind all that is new. Ended, they give it back at once.
//
// The first subflow of a connection is not forgotten when it is shut down, but tries to
// say so over its dead link, twice as seldom each time. Linux 6.18 waits as long, up to
// two minutes, before it sends something again over another subflow.
package stale

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"tributary/mptcp"
	"tributary/mptcp/diag"
	"tributary/mptcp/pm"
)

// silentFor is how long nothing must have been acknowledged over a subflow, beside a
// timeout or more, until one that joins from the same address replaces it. Two lines may
// share an address behind a NAT: then both are heard. Chosen by us.
const silentFor = time.Second

// An Ender ends the stale subflows of connections. The zero Ender is ready for use.
type Ender struct {
	mu     sync.Mutex
	tokens map[*net.TCPConn]uint32
	conns  map[uint32]*net.TCPConn
}

// Add has a connection looked after until Remove. Plain TCP needs none of it.
func (e *Ender) Add(c *net.TCPConn) {
	info, err := mptcp.Info(c)
	if err != nil || info.Token == 0 {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.conns == nil {
		e.tokens, e.conns = make(map[*net.TCPConn]uint32), make(map[uint32]*net.TCPConn)
	}
	e.tokens[c], e.conns[info.Token] = info.Token, c
}

// Remove forgets a connection.
func (e *Ender) Remove(c *net.TCPConn) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.conns, e.tokens[c])
	delete(e.tokens, c)
}

// Run looks at connections that are joined until ctx ends. It returns at once without
// the right to listen for that (CAP_NET_ADMIN), and where nothing is to be heard.
func (e *Ender) Run(ctx context.Context, log *slog.Logger) {
	events, err := pm.Subscribe()
	if err != nil {
		log.Debug("dead subflows are left to the kernel", "err", err)
		return
	}
	defer events.Close()
	for {
		event, err := events.Next(ctx)
		switch {
		case ctx.Err() != nil, errors.Is(err, os.ErrClosed):
			return
		case errors.Is(err, pm.ErrOverrun):
			e.all(log)
		case err == nil && event.Kind == pm.SubflowEstablished:
			e.mu.Lock()
			c := e.conns[event.Token]
			e.mu.Unlock()
			if c != nil {
				look(c, log)
			}
		}
	}
}

// all looks at every connection, after events were missed.
func (e *Ender) all(log *slog.Logger) {
	e.mu.Lock()
	var conns []*net.TCPConn
	for c := range e.tokens {
		conns = append(conns, c)
	}
	e.mu.Unlock()
	for _, c := range conns {
		look(c, log)
	}
}

// look ends what is stale of a connection, which may have been closed meanwhile.
func look(c *net.TCPConn, log *slog.Logger) {
	full, err := mptcp.FullInfo(c)
	if err != nil || full.Fallback {
		return
	}
	for _, s := range replaced(full.Subflows) {
		err := diag.End(diag.Pair{Local: s.Local, Remote: s.Remote})
		log.Debug("a dead subflow was ended", "local", s.Local, "remote", s.Remote, "err", err)
	}
}

// replaced returns the subflows that are silent while a later one from the same address
// to the same one is not, or that were shut down while any other is not.
func replaced(subflows []mptcp.Subflow) (stale []mptcp.Subflow) {
	for _, s := range subflows {
		ends := s.State == mptcp.FinWait1 || s.State == mptcp.Closing || s.State == mptcp.LastAck
		if s.State != mptcp.Established && !ends || s.Timeouts == 0 || s.LastAckRecv < silentFor {
			continue
		}
		for _, o := range subflows {
			if o.State != mptcp.Established || o.Timeouts > 0 || o.LastAckRecv >= silentFor {
				continue
			}
			if ends || o.ID > s.ID && o.Remote.Addr() == s.Remote.Addr() && o.Local.Addr() == s.Local.Addr() {
				stale = append(stale, s)
				break
			}
		}
	}
	return stale
}
