package pm

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/mdlayher/genetlink"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Attributes of an event: enum mptcp_event_attr in linux/mptcp_pm.h.
const (
	evToken       = 1 // u32
	evLocalID     = 3 // u8
	evRemoteID    = 4 // u8
	evSaddr4      = 5
	evSaddr6      = 6
	evDaddr4      = 7
	evDaddr6      = 8
	evSport       = 9  // big endian
	evDport       = 10 // big endian
	evBackup      = 11 // u8
	evError       = 12 // u8
	evFlags       = 13 // u16
	evIfIndex     = 15 // s32
	evResetReason = 16 // u32
	evServerSide  = 18 // u8

	evFlagDenyJoinID0 = 1 << 0
	evFlagServerSide  = 1 << 1
)

// eventBuffer is the receive buffer: an event takes some 300 bytes of it, and a
// page opens 50 connections with a handful of events each while we may be busy.
const eventBuffer = 1 << 20

type events struct {
	c      *genetlink.Conn
	queue  []genetlink.Message
	closed atomic.Bool
}

func subscribe() (*events, error) {
	conn, family, err := dial()
	if err != nil {
		return nil, err
	}
	e, err := join(conn, family)
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("subscribe to MPTCP events: %w", err)
	}
	return e, nil
}

func join(conn *genetlink.Conn, family genetlink.Family) (*events, error) {
	for _, g := range family.Groups {
		if g.Name != eventGroup {
			continue
		}
		// A smaller buffer only makes an overrun more likely, and that is reported.
		_ = conn.SetReadBuffer(eventBuffer)
		if err := conn.JoinGroup(g.ID); err != nil {
			return nil, err
		}
		return &events{c: conn}, nil
	}
	return nil, fmt.Errorf("%w: no netlink group %s", ErrUnsupported, eventGroup)
}

func (e *events) close() error {
	e.closed.Store(true)
	return e.c.Close()
}

func (e *events) next(ctx context.Context) (Event, error) {
	for len(e.queue) == 0 {
		msgs, err := e.receive(ctx)
		switch {
		case ctx.Err() != nil && errors.Is(err, os.ErrDeadlineExceeded):
			return Event{}, ctx.Err()
		case errors.Is(err, unix.ENOBUFS):
			return Event{}, ErrOverrun
		case err != nil && e.closed.Load():
			return Event{}, fmt.Errorf("receive MPTCP events: %w", os.ErrClosed)
		case err != nil:
			return Event{}, fmt.Errorf("receive MPTCP events: %w", err)
		}
		e.queue = msgs
	}
	m := e.queue[0]
	e.queue = e.queue[1:]
	return decodeEvent(Kind(m.Header.Command), m.Data)
}

// receive waits for messages until ctx ends. The deadline that ends a wait is
// lifted again before it returns, so that it cannot hit the next one.
func (e *events) receive(ctx context.Context) ([]genetlink.Message, error) {
	woken := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(woken)
		_ = e.c.SetReadDeadline(time.Unix(1, 0))
	})
	defer func() {
		if !stop() {
			<-woken
			_ = e.c.SetReadDeadline(time.Time{})
		}
	}()
	msgs, _, err := e.c.Receive()
	return msgs, err
}

func decodeEvent(kind Kind, b []byte) (Event, error) {
	ev := Event{Kind: kind}
	ad, err := netlink.NewAttributeDecoder(b)
	if err != nil {
		return Event{}, fmt.Errorf("decode MPTCP event %v: %w", kind, err)
	}
	var local, remote netip.Addr
	var localPort, remotePort uint16
	for ad.Next() {
		switch ad.Type() {
		case evSaddr4, evSaddr6:
			ad.Do(decodeAddr(&local))
		case evDaddr4, evDaddr6:
			ad.Do(decodeAddr(&remote))
		case evSport:
			ad.Do(decodePort(&localPort))
		case evDport:
			ad.Do(decodePort(&remotePort))
		default:
			ev.decode(ad)
		}
	}
	if err := ad.Err(); err != nil {
		return Event{}, fmt.Errorf("decode MPTCP event %v: %w", kind, err)
	}
	if local.IsValid() {
		ev.Local = netip.AddrPortFrom(local, localPort)
	}
	if remote.IsValid() {
		ev.Remote = netip.AddrPortFrom(remote, remotePort)
	}
	return ev, nil
}

// decode reads the attributes that are not addresses. Before 6.18 the server's
// side was an attribute of its own, since then it is a flag too.
func (ev *Event) decode(ad *netlink.AttributeDecoder) {
	switch ad.Type() {
	case evToken:
		ev.Token = ad.Uint32()
	case evLocalID:
		ev.LocalID = ad.Uint8()
	case evRemoteID:
		ev.RemoteID = ad.Uint8()
	case evBackup:
		ev.Backup = ad.Uint8() != 0
	case evError:
		ev.Error = syscall.Errno(ad.Uint8())
	case evFlags:
		f := ad.Uint16()
		ev.DenyJoinID0 = f&evFlagDenyJoinID0 != 0
		ev.ServerSide = ev.ServerSide || f&evFlagServerSide != 0
	case evIfIndex:
		ev.IfIndex = int(ad.Int32())
	case evResetReason:
		ev.ResetReason, ev.HasReset = ad.Uint32(), true
	case evServerSide:
		ev.ServerSide = ev.ServerSide || ad.Uint8() != 0
	}
}

func decodePort(to *uint16) func([]byte) error {
	return func(b []byte) error {
		if len(b) != 2 {
			return fmt.Errorf("port of %d bytes", len(b))
		}
		*to = binary.BigEndian.Uint16(b)
		return nil
	}
}
