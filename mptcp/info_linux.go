package mptcp

import (
	"errors"
	"fmt"
	"net"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// rawInfo is struct mptcp_info as of Linux 6.18, 96 bytes. A shorter answer of
// an older kernel leaves the rest zero; a newer one fills what fits. All fields
// lie at multiples of their size, so it is the same on 32-bit systems.
type rawInfo struct {
	subflows, addAddrSignal, addAddrAccepted          uint8
	subflowsMax, addAddrSignalMax, addAddrAcceptedMax uint8
	_                                                 [2]uint8
	flags                                             uint32
	token                                             uint32
	writeSeq, sndUna, rcvNxt                          uint64
	localAddrUsed, localAddrMax, csumEnabled          uint8
	_                                                 uint8
	retransmits                                       uint32
	bytesRetrans, bytesSent, bytesReceived            uint64
	bytesAcked                                        uint64
	subflowsTotal                                     uint8
	_                                                 [3]uint8
	lastDataSent, lastDataRecv, lastAckRecv           uint32 // ms
}

const (
	flagFallback  = 1 << 0 // MPTCP_INFO_FLAG_FALLBACK
	flagRemoteKey = 1 << 1 // MPTCP_INFO_FLAG_REMOTE_KEY_RECEIVED
)

// readInfo returns the kernel's answer and how many bytes of it are valid.
func readInfo(fd int) (r rawInfo, n uintptr, err error) {
	n, err = getsockopt(fd, unix.SOL_MPTCP, optInfo, unsafe.Pointer(&r), unsafe.Sizeof(r))
	return r, n, err
}

func info(c *net.TCPConn) (Connection, error) {
	var r rawInfo
	err := with(c, func(fd int) (err error) {
		r, _, err = readInfo(fd)
		return err
	})
	if err != nil {
		return Connection{}, fmt.Errorf("read MPTCP_INFO: %w", err)
	}
	return r.connection(), nil
}

func (r *rawInfo) connection() Connection {
	return Connection{
		Extra:         int(r.subflows),
		Total:         int(r.subflowsTotal),
		Token:         r.token,
		Fallback:      r.flags&flagFallback != 0,
		RemoteKey:     r.flags&flagRemoteKey != 0,
		Checksum:      r.csumEnabled != 0,
		LocalAddrs:    int(r.localAddrUsed),
		Announced:     int(r.addAddrAccepted),
		WriteSeq:      r.writeSeq,
		SndUna:        r.sndUna,
		RcvNxt:        r.rcvNxt,
		BytesSent:     r.bytesSent,
		BytesReceived: r.bytesReceived,
		BytesAcked:    r.bytesAcked,
		BytesRetrans:  r.bytesRetrans,
		Retransmits:   r.retransmits,
		LastDataSent:  millis(r.lastDataSent),
		LastDataRecv:  millis(r.lastDataRecv),
		LastAckRecv:   millis(r.lastAckRecv),
	}
}

func millis(n uint32) time.Duration { return time.Duration(n) * time.Millisecond }
func micros(n uint32) time.Duration { return time.Duration(n) * time.Microsecond }

func readTCPInfo(fd int) (unix.TCPInfo, error) {
	var t unix.TCPInfo
	_, err := getsockopt(fd, unix.SOL_TCP, unix.TCP_INFO, unsafe.Pointer(&t), unsafe.Sizeof(t))
	return t, err
}

func tcpInfo(c *net.TCPConn) (Subflow, error) {
	var t unix.TCPInfo
	err := with(c, func(fd int) (err error) {
		t, err = readTCPInfo(fd)
		return err
	})
	if err != nil {
		return Subflow{}, fmt.Errorf("read TCP_INFO: %w", err)
	}
	s := subflow(&t)
	s.Local, s.Remote = unmap(c.LocalAddr()), unmap(c.RemoteAddr())
	return s, nil
}

func subflow(t *unix.TCPInfo) Subflow {
	return Subflow{
		State:         State(t.State),
		RTT:           micros(t.Rtt),
		RTTVar:        micros(t.Rttvar),
		MinRTT:        micros(t.Min_rtt),
		CWnd:          t.Snd_cwnd,
		MSS:           t.Snd_mss,
		BytesSent:     t.Bytes_sent,
		BytesAcked:    t.Bytes_acked,
		BytesReceived: t.Bytes_received,
		BytesRetrans:  t.Bytes_retrans,
		Retransmits:   t.Total_retrans,
		SegmentsSent:  t.Segs_out,
		SegmentsHeard: t.Segs_in,
		Timeouts:      t.Retransmits,
		Unacked:       t.Unacked,
		Lost:          t.Lost,
		NotSent:       t.Notsent_bytes,
		PacingRate:    t.Pacing_rate,
		DeliveryRate:  t.Delivery_rate,
		LastDataSent:  millis(t.Last_data_sent),
		LastDataRecv:  millis(t.Last_data_recv),
		LastAckRecv:   millis(t.Last_ack_recv),
	}
}

func acked(c *net.TCPConn) (n uint64, err error) {
	err = with(c, func(fd int) error {
		if r, size, err := readInfo(fd); err == nil {
			if size < unsafe.Offsetof(r.subflowsTotal) {
				return fmt.Errorf("kernel older than 6.5: %w", errors.ErrUnsupported)
			}
			n = min(r.bytesAcked, r.bytesSent) // the end of data counts as one acknowledged
			return nil
		}
		t, err := readTCPInfo(fd)
		if err != nil {
			return err
		}
		if State(t.State) == Close && t.Segs_out == 0 {
			return unix.ENOTCONN
		}
		n = tcpAcked(&t)
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("read acknowledged bytes: %w", err)
	}
	return n, nil
}

func written(c *net.TCPConn) (n uint64, err error) {
	err = with(c, func(fd int) error {
		if r, size, err := readInfo(fd); err == nil {
			if size < unsafe.Offsetof(r.subflowsTotal) {
				return fmt.Errorf("kernel older than 6.5: %w", errors.ErrUnsupported)
			}
			n = min(r.bytesAcked, r.bytesSent) + r.writeSeq - r.sndUna
			return nil
		}
		t, err := readTCPInfo(fd)
		n = t.Bytes_sent - t.Bytes_retrans + uint64(t.Notsent_bytes)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("read written bytes: %w", err)
	}
	return n, nil
}

func quiet(c *net.TCPConn) bool {
	err := with(c, func(fd int) error {
		_, _, err := unix.Recvfrom(fd, make([]byte, 1), unix.MSG_PEEK|unix.MSG_DONTWAIT)
		return err
	})
	return errors.Is(err, unix.EAGAIN)
}

// tcpAcked takes SYN and FIN out of the kernel's count of acknowledged bytes.
// The SYN is in it at the side that dialled only, and which side that was the
// kernel does not say; but with nothing in flight, all that was sent has
// arrived. Once the connection is closed nothing is in flight in any case.
// (SIOCOUTQ would tell, but counts twice after fallback.)
func tcpAcked(t *unix.TCPInfo) uint64 {
	sent := t.Bytes_sent - t.Bytes_retrans
	if t.Unacked == 0 && State(t.State) != Close {
		return sent
	}
	return min(sent, max(t.Bytes_acked, 1)-1)
}
