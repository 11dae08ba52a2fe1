package mptcp

import (
	"net"
	"net/netip"
	"time"
)

// IsMultipath reports whether a connection is MPTCP now: false if plain TCP was
// asked for, if the peer does not speak MPTCP, if it fell back, and on kernels
// before 5.16, which cannot tell. It costs one system call, about a microsecond.
func IsMultipath(c *net.TCPConn) bool { return isMultipath(c) }

// A Connection is what the kernel knows of an MPTCP connection as a whole
// (struct mptcp_info in linux/mptcp.h). What an older kernel does not tell is zero.
type Connection struct {
	Extra      int    // subflows beyond the first
	Total      int    // all subflows, since Linux 6.8, else 0
	Token      uint32 // names the connection on this host, as in path-manager events
	Fallback   bool   // it became plain TCP
	RemoteKey  bool   // the peer's key has arrived
	Checksum   bool   // data is protected by MPTCP checksums
	LocalAddrs int    // local addresses used for subflows, failed ones too
	Announced  int    // addresses that the peer announced and that were joined at

	WriteSeq uint64 // data sequence number of the next byte written
	SndUna   uint64 // oldest that the peer did not acknowledge
	RcvNxt   uint64 // next that is expected from the peer

	// Bytes of payload, each counted once whatever path it took. Since Linux 6.5.
	BytesSent, BytesReceived, BytesAcked uint64
	BytesRetrans                         uint64 // sent again on another subflow
	Retransmits                          uint32

	// Time since the last data and acknowledgement; since Linux 6.10, else 0.
	LastDataSent, LastDataRecv, LastAckRecv time.Duration
}

// A Full is a connection with all its subflows. For a connection that is plain
// TCP or fell back, it has one Subflow, with ID 0, made from TCP_INFO, and
// Connection has only Fallback and its byte counts: callers have a path to show
// in every case.
type Full struct {
	Connection
	Subflows []Subflow
}

// A Subflow is one TCP flow of an MPTCP connection, or a plain TCP connection
// (struct tcp_info in linux/tcp.h).
type Subflow struct {
	ID            uint32         // 1, 2, … in order of creation: not the address identifier
	Local, Remote netip.AddrPort // never in mapped form; unspecified once it is closed
	State         State

	RTT, RTTVar, MinRTT time.Duration // smoothed, its deviation, least of the last minutes
	CWnd                uint32        // congestion window, in segments
	MSS                 uint32        // bytes of a segment sent

	BytesSent     uint64 // retransmitted ones included
	BytesAcked    uint64 // the SYN counts as one at the side that dialled, the FIN at both
	BytesReceived uint64
	BytesRetrans  uint64
	Retransmits   uint32 // segments, since the start
	SegmentsSent  uint32 // all: those without data too, keepalive probes among them
	SegmentsHeard uint32

	Timeouts uint8  // consecutive retransmission timeouts: above 0, the path may be dead
	Unacked  uint32 // segments in flight
	Lost     uint32 // of which presumed lost
	NotSent  uint32 // bytes in the queue

	PacingRate, DeliveryRate uint64 // bytes per second; 2⁶⁴−1 is no pacing

	LastDataSent, LastDataRecv, LastAckRecv time.Duration // time since
}

// A State is a TCP state (RFC 9293 section 3.3.2, numbered as in linux/tcp_states.h).
type State uint8

// The states that tell a caller something; others have a name too.
const (
	Established State = 1
	SynSent     State = 2
	FinWait1    State = 4
	Close       State = 7
	LastAck     State = 9
	Closing     State = 11
)

// String returns the state as ss(8) and RFC 9293 write it: "ESTABLISHED".
func (s State) String() string {
	names := [...]string{
		1: "ESTABLISHED", 2: "SYN-SENT", 3: "SYN-RECEIVED", 4: "FIN-WAIT-1", 5: "FIN-WAIT-2", 6: "TIME-WAIT",
		7: "CLOSED", 8: "CLOSE-WAIT", 9: "LAST-ACK", 10: "LISTEN", 11: "CLOSING", 12: "SYN-RECEIVED",
	}
	if int(s) < len(names) && names[s] != "" {
		return names[s]
	}
	return "UNKNOWN"
}

// Info returns the MPTCP level of a connection (MPTCP_INFO). It fails on plain
// TCP and after fallback: [FullInfo] does not.
func Info(c *net.TCPConn) (Connection, error) { return info(c) }

// FullInfo returns a connection and its subflows, of one moment where the kernel
// can (MPTCP_FULL_INFO, Linux 6.5).
func FullInfo(c *net.TCPConn) (Full, error) { return fullInfo(c) }

// TCPInfo returns the TCP level of a plain connection (TCP_INFO), and of the
// first subflow of an MPTCP one.
func TCPInfo(c *net.TCPConn) (Subflow, error) { return tcpInfo(c) }

// Acked returns how many bytes of payload the peer's kernel has acknowledged:
// at the MPTCP level, or of plain TCP without SYN and FIN. It costs one or two
// system calls and needs Linux 6.5 on a connection that is MPTCP.
//
// It never says too much. It says too little by what has arrived but is not
// acknowledged yet, up to 40 ms after arrival (delayed ACK); and on plain TCP,
// on the side that accepted, by one byte while anything is in flight or once
// the connection is closed. After a reset by the peer or its FIN it still
// answers, with the last count before (measured on Linux 6.18, MPTCP, plain TCP
// and after fallback); only after fallback, once both sides have sent a FIN, the
// kernel forgets it and the error is ENOTCONN. A peer may have read bytes and sent a reset before it
// acknowledged them: few acknowledged bytes do not prove that little arrived. Nor
// do many prove that the peer's process got them: its kernel acknowledges for a
// socket that is closed, too.
func Acked(c *net.TCPConn) (uint64, error) { return acked(c) }

// Written returns how many bytes of payload have been written to a connection so
// far: what [Acked] will say when all of them have arrived. It is of one moment, and
// for a side that has not ended its direction.
func Written(c *net.TCPConn) (uint64, error) { return written(c) }

// Quiet reports whether a connection is open and has nothing to be read: no data,
// no end, no error. It takes nothing from the connection. Where it cannot be known,
// outside Linux, it is true.
func Quiet(c *net.TCPConn) bool { return quiet(c) }
