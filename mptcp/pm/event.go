package pm

import (
	"context"
	"errors"
	"net/netip"
	"strconv"
	"syscall"
)

// ErrOverrun is returned by [Events.Next] once after the kernel had to drop
// events because the reader was too slow. Events go on; what was missed has to
// be read anew, from [Client.Endpoints] and each connection's MPTCP_FULL_INFO.
var ErrOverrun = errors.New("MPTCP events were lost")

// A Kind says what happened (enum mptcp_event_type in linux/mptcp_pm.h).
type Kind uint8

const (
	Created            Kind = 1  // a connection got its first subflow
	Established        Kind = 2  // a connection may take more subflows
	Closed             Kind = 3  // a connection was closed here; not sent if the peer reset it
	Announced          Kind = 6  // the peer announced an address: RemoteID, Remote
	Removed            Kind = 7  // the peer withdrew an address: RemoteID
	SubflowEstablished Kind = 10 // a further subflow joined
	SubflowClosed      Kind = 11 // a subflow ended; see Error and ResetReason
	SubflowPriority    Kind = 13 // the peer changed a subflow's Backup
	ListenerCreated    Kind = 15 // a listening MPTCP socket: Local
	ListenerClosed     Kind = 16
)

// String returns the kind in words; "event 99" for one this package does not know.
func (k Kind) String() string {
	switch k {
	case Created:
		return "created"
	case Established:
		return "established"
	case Closed:
		return "closed"
	case Announced:
		return "announced"
	case Removed:
		return "removed"
	case SubflowEstablished:
		return "subflow established"
	case SubflowClosed:
		return "subflow closed"
	case SubflowPriority:
		return "subflow priority"
	case ListenerCreated:
		return "listener created"
	case ListenerClosed:
		return "listener closed"
	}
	return "event " + strconv.Itoa(int(k))
}

// An Event is one thing that happened to an MPTCP connection of the namespace.
// Fields that do not belong to its Kind, or that the kernel left out, are zero.
type Event struct {
	Kind Kind
	// Token names the connection on this host: it equals mptcpi_token of
	// MPTCP_INFO. The peer has another one.
	Token uint32
	// Local and Remote are the subflow's ends. IPv4 is never in its mapped form.
	Local, Remote netip.AddrPort
	// LocalID and RemoteID are address identifiers: those of endpoints, and 0 for
	// the addresses with which the connection began.
	LocalID, RemoteID uint8
	Backup            bool
	// IfIndex is the interface that the subflow is bound to, if any.
	IfIndex int
	// Error is the subflow's socket error, such as ETIMEDOUT or ECONNRESET.
	Error syscall.Errno
	// ResetReason is why a subflow was reset (MP_TCPRST, RFC 8684 section 3.6); it
	// has meaning only where HasReset is set, since 0 is "unspecified".
	ResetReason uint32
	HasReset    bool
	// ServerSide is set with Created and Established if this host accepted the
	// connection.
	ServerSide bool
	// DenyJoinID0 is set if the peer wants no joins to its first address.
	DenyJoinID0 bool
}

// Events is a subscription to the path manager's events. Next may be called by
// one goroutine at a time.
type Events struct{ e *events }

// Subscribe joins the multicast group mptcp_pm_events in the network namespace
// of the calling thread, as [New] does. It needs CAP_NET_ADMIN.
func Subscribe() (*Events, error) {
	e, err := subscribe()
	if err != nil {
		return nil, err
	}
	return &Events{e}, nil
}

// Next waits for the next event. It fails with the context's error, with
// [ErrOverrun], or with os.ErrClosed after [Events.Close]. An event that cannot
// be decoded is an error too; events after it can still be read.
func (e *Events) Next(ctx context.Context) (Event, error) { return e.e.next(ctx) }

// Close ends the subscription and wakes Next.
func (e *Events) Close() error { return e.e.close() }
