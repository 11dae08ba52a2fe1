package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"sync"
)

// A Server is the final server: HTTP, echo, a server that speaks first, and the
// lab's DNS. It runs in this process, on the host "server".
type Server struct {
	names   *nameServer
	http    http.Server
	loops   sync.WaitGroup
	closers []io.Closer

	mu     sync.Mutex
	closed bool
	open   map[*seenConn]struct{}
	past   []Seen
}

func (n *Network) serve() error {
	s := &Server{names: newNameServer(n.zone), open: make(map[*seenConn]struct{})}
	s.http.Handler = s.handler()
	s.http.ErrorLog = slog.NewLogLogger(n.config.Log.Handler(), slog.LevelDebug)
	n.server = s
	for _, a := range n.zone[ServerName] {
		if err := s.listen(n.hosts["server"], a); err != nil {
			return fmt.Errorf("start the final server: %w", err)
		}
	}
	if len(n.config.Sites) == 0 {
		return nil
	}
	n.resolver = newNameServer(n.zone)
	if err := s.listenNames(n.hosts["net"], resolverAddr(), n.resolver); err != nil {
		return fmt.Errorf("start the provider's resolver: %w", err)
	}
	return nil
}

// listenNames opens a name server for packets alone.
func (s *Server) listenNames(h *Host, a netip.Addr, names *nameServer) error {
	c, err := h.ListenPacket(context.Background(), "udp", hostPort(a, portDNS))
	if err != nil {
		return err
	}
	s.closers = append(s.closers, c)
	s.loops.Go(func() { names.servePacket(c) })
	return nil
}

// listen opens every service on address a. Addresses are given one by one, for
// a wildcard would include the loopback ones and hide the family.
func (s *Server) listen(h *Host, a netip.Addr) error {
	ctx := context.Background()
	for _, service := range []struct {
		port  int
		mptcp bool
		serve func(net.Listener)
	}{
		{PortHTTP, true, s.serveHTTP},
		{PortPlain, false, s.serveHTTP},
		{PortEcho, false, s.each(func(c net.Conn) { io.Copy(c, c) })},
		{PortBanner, false, s.each(func(c net.Conn) {
			io.WriteString(c, Banner)
			io.Copy(c, c)
		})},
		{portDNS, false, s.each(s.names.serveConn)},
	} {
		l, err := h.listen(ctx, "tcp", hostPort(a, service.port), service.mptcp)
		if err != nil {
			return err
		}
		s.closers = append(s.closers, l)
		s.loops.Go(func() { service.serve(seenListener{l, s}) })
	}
	for port, serve := range map[int]func(net.PacketConn){PortEcho: echoPackets, portDNS: s.names.servePacket} {
		c, err := h.ListenPacket(ctx, "udp", hostPort(a, port))
		if err != nil {
			return err
		}
		s.closers = append(s.closers, c)
		s.loops.Go(func() { serve(c) })
	}
	return nil
}

// Banner is what [PortBanner] says first.
const Banner = "SSH-2.0-lab\r\n"

const portDNS = 53

func hostPort(a netip.Addr, port int) string {
	return net.JoinHostPort(a.String(), strconv.Itoa(port))
}

func (s *Server) serveHTTP(l net.Listener) { s.http.Serve(l) }

// each returns a service that runs fn for each connection and then closes it.
func (s *Server) each(fn func(net.Conn)) func(net.Listener) {
	return func(l net.Listener) {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.loops.Go(func() {
				defer c.Close()
				fn(c)
			})
		}
	}
}

func echoPackets(c net.PacketConn) {
	buf := make([]byte, 1<<16)
	for {
		n, from, err := c.ReadFrom(buf)
		if err != nil {
			return
		}
		c.WriteTo(buf[:n], from)
	}
}

// close closes listeners and connections and waits for every loop.
func (s *Server) close() error {
	var errs []error
	for _, c := range s.closers {
		errs = append(errs, c.Close())
	}
	s.http.Close()
	s.mu.Lock()
	s.closed = true
	open := make([]*seenConn, 0, len(s.open))
	for c := range s.open {
		open = append(open, c)
	}
	s.mu.Unlock()
	for _, c := range open {
		c.Close()
	}
	s.loops.Wait()
	return errors.Join(errs...)
}

// Seen returns the TCP connections that reached the server on any port, in the
// order of their beginning. Only the first 10,000 that ended are kept.
func (s *Server) Seen() []Seen {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := slices.Clone(s.past)
	for c := range s.open {
		all = append(all, c.seen(true))
	}
	slices.SortFunc(all, func(a, b Seen) int { return a.Since.Compare(b.Since) })
	return all
}
