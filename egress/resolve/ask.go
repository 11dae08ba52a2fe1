package resolve

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Chosen by us. A resolver next door answers within milliseconds from its cache
// and within half a second otherwise, so after a second the packet is lost or
// the server is. It may still be at work for us: its answer counts while others
// are asked. The standard library waits 5 s before it asks again.
const (
	askAgain  = time.Second
	askFor    = 5 * time.Second
	minAsking = 3 // times in all, also where there is one server only
)

// An asker asks name servers for addresses (RFC 1035). Each try has a socket of
// its own, hence a port that the kernel picks at random, and a random id and
// spelling; only an answer that repeats all of them is taken.
type asker struct {
	servers func() []netip.AddrPort // at least one
	dial    func(ctx context.Context, network, address string) (net.Conn, error)
}

type reply struct {
	server int
	found
	err error
}

// ask asks the servers in their order, each new try after a second of silence or
// at once after a failure, and returns the first answer. A server that failed is
// not asked again; all are asked twice at least otherwise.
func (a *asker) ask(ctx context.Context, q question) found {
	servers := a.servers()
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	tries := max(minAsking, 2*len(servers))
	replies := make(chan reply, tries)
	again := time.NewTimer(askAgain)
	defer again.Stop()
	failed := make([]error, len(servers))
	due := true // the next try is
	for next, running := 0, 0; ; {
		for next < tries && failed[next%len(servers)] != nil {
			next++
		}
		if running == 0 && next == tries {
			return failure(q, servers, failed)
		}
		if due && next < tries {
			due = false
			i := next % len(servers)
			wg.Go(func() {
				tryCtx, cancel := context.WithTimeout(ctx, askFor)
				defer cancel()
				f, err := a.try(tryCtx, servers[i].String(), q)
				replies <- reply{i, f, err}
			})
			next++
			running++
			again.Reset(askAgain)
		}
		select {
		case r := <-replies:
			running--
			if r.err == nil {
				return r.found
			}
			failed[r.server] = r.err
			due = true
		case <-again.C:
			due = true
		}
	}
}

// failure prefers what a server said to silence.
func failure(q question, servers []netip.AddrPort, failed []error) found {
	worst := found{err: &net.DNSError{Err: "no name server", Name: q.name}}
	for i, err := range failed {
		if err == nil {
			continue
		}
		dns := &net.DNSError{Err: err.Error(), UnwrapErr: err, Name: q.name, Server: servers[i].String(), IsTemporary: true}
		var timeout net.Error
		dns.IsTimeout = errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout()
		if errors.Is(err, errServer) {
			return found{err: dns, ttl: failureFor}
		}
		worst.err = dns
	}
	return worst
}

// try asks one server by UDP, and by TCP what UDP cannot tell: answers that do
// not fit, and those of servers that do not repeat the spelling, as a forger in
// the dark would not. Nobody guesses his way into a TCP connection.
func (a *asker) try(ctx context.Context, server string, q question) (found, error) {
	var random [34]byte
	rand.Read(random[:])
	id, spelled := binary.BigEndian.Uint16(random[:]), respell(q.name, random[2:])
	f, err := a.exchange(ctx, "udp", server, q, id, spelled)
	if errors.Is(err, errTruncated) || errors.Is(err, errSpelling) {
		return a.exchange(ctx, "tcp", server, q, id, q.name)
	}
	return f, err
}

func (a *asker) exchange(ctx context.Context, network, server string, q question, id uint16, spelled string) (found, error) {
	query, err := appendQuery(make([]byte, 2, 2+512), q, id, spelled)
	if err != nil {
		return found{}, err
	}
	c, err := a.dial(ctx, network, server)
	if err != nil {
		return found{}, err
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	read, want := readPacket, spelled
	if network == "tcp" {
		want = ""
		binary.BigEndian.PutUint16(query, uint16(len(query)-2))
		read = readMessage
	} else {
		query = query[2:]
	}
	if _, err := c.Write(query); err != nil {
		return found{}, ended(ctx, err)
	}
	for buf := make([]byte, 4096); ; {
		msg, err := read(c, buf)
		if err != nil {
			return found{}, ended(ctx, err)
		}
		f, err := readAnswer(msg, q, id, want)
		switch {
		case network == "udp" && errors.Is(err, errNotOurs):
			continue
		case network == "tcp" && err != nil && !errors.Is(err, errServer):
			return found{}, fmt.Errorf("%w: %w", errServer, err)
		}
		return f, err
	}
}

// ended says timeout or cancelled in place of what that did to the socket.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

func readPacket(c net.Conn, buf []byte) ([]byte, error) {
	n, err := c.Read(buf)
	return buf[:n], err
}

// readMessage reads a message with its length in front (RFC 1035 section 4.2.2).
func readMessage(c net.Conn, buf []byte) ([]byte, error) {
	if _, err := io.ReadFull(c, buf[:2]); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint16(buf))
	if n > len(buf) {
		buf = make([]byte, n)
	}
	_, err := io.ReadFull(c, buf[:n])
	return buf[:n], err
}
