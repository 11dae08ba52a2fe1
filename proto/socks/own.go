package socks

import (
	"bytes"
	"fmt"
	"io"
	"net/netip"
	"time"

	"tributary/proxy"
)

// ALPN is the application protocol (RFC 7301) by which gateway and relay know
// each other inside TLS. It is SOCKS5 in all but three things: behind the login
// the connection carries streams one after the other, each in frames of its own
// and each with one request; a request begins with its flow; and the codes of
// refusals are ours, one for each reason.
const ALPN = "tributary/1"

// own is the first of the reply codes that RFC 1928 leaves unassigned and that
// two ends of Tributary use between themselves: own plus the reason. They lose
// nothing on the way.
const own = 0xe0

func (s *Server) code(r proxy.Reason) byte {
	if s.own && int(r) < len(codes) {
		return own + byte(r)
	}
	return Code(r)
}

// Login reads the login of a gateway of ours, where first are the bytes that were
// read from c already. What came behind it is rest; the answer that belongs in
// front of whatever is written next is out, and empty where it was sent. When
// Login fails it has told the client why and has closed c, as [Server.Accept] does.
func (s *Server) Login(c proxy.Conn, first []byte) (account string, rest, out []byte, err error) {
	in := newInput(c, first)
	if account, err = s.login(in); err != nil {
		return "", nil, nil, farewell(in, err)
	}
	if err := in.flush(); err != nil {
		return "", nil, nil, farewell(in, fmt.Errorf("socks5 login: %w", err))
	}
	return account, bytes.Clone(in.unread), in.out, nil
}

// told is the flag of a request whose client believes already that its stream is
// open. The other flags are zero.
const told = 0x01

// AppendOwn appends a request of a gateway of ours: flags, flow, SOCKS5 request and
// the first bytes of the stream. WasTold says that nobody waits for the relay's
// answer, which is for [ReadReply].
func AppendOwn(b []byte, wasTold bool, flow proxy.Flow, to proxy.Addr, early []byte) []byte {
	var flags byte
	if wasTold {
		flags |= told
	}
	return AppendConnect(append(append(b, flags), flow[:]...), to, early)
}

// AcceptOwn reads one request of a gateway of ours, from a stream of its own. The
// rest is as [Server.Accept] has it.
func AcceptOwn(c proxy.Conn, account string) (*proxy.Request, proxy.Flow, error) {
	s := &Server{own: true}
	in := newInput(c, nil)
	var head [1 + len(proxy.Flow{})]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return nil, proxy.Flow{}, farewell(in, fmt.Errorf("flow of the request: %w", err))
	}
	flags, flow := head[0], proxy.Flow(head[1:])
	req, err := s.request(in, account)
	if err != nil {
		return nil, flow, farewell(in, err)
	}
	req = s.pend(req, in, Version5)
	req.Told = flags&told != 0
	if h, ok := c.(holder); ok {
		req.Pending = &ownPending{req.Pending.(*pending), h}
	}
	return req, flow, nil
}

// A holder is a stream that can leave bytes lying until the next write.
type holder interface {
	WriteLater(p []byte, within time.Duration)
}

// ownPending is a pending whose answer can be left lying.
type ownPending struct {
	*pending
	h holder
}

// AcceptWithin makes it a proxy.Holder.
func (p *ownPending) AcceptWithin(bound netip.AddrPort, within time.Duration) (proxy.Conn, error) {
	p.h.WriteLater(p.reply(Succeeded, Granted4, bound), within)
	p.out = nil
	return p.c, nil
}
