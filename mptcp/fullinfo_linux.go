package mptcp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// rawFull is struct mptcp_full_info: sizes of both sides, pointers to two arrays
// of ours, which are 64 bits wide on every system, and an mptcp_info.
type rawFull struct {
	tcpKernel, tcpUser   uint32
	addrKernel, addrUser uint32
	subflows             uint32 // how many there are, even if the arrays hold fewer
	room                 uint32 // of the arrays, in elements
	addrs, tcps          uint64
	info                 rawInfo
}

// rawSubflow is struct mptcp_subflow_info, rawAddrs mptcp_subflow_addrs in it.
type rawSubflow struct {
	id uint32
	_  uint32
	rawAddrs
}

type rawAddrs struct{ local, remote rawSockaddr }

// rawSockaddr is a sockaddr_storage: family in host order, port in network
// order, and the address at 4 (IPv4) or 8 (IPv6).
type rawSockaddr [128]byte

// The layouts above are the kernel's: these lines do not compile where the
// compiler has another one, on a 32-bit system say.
var (
	_ [96]byte  = [unsafe.Sizeof(rawInfo{})]byte{}
	_ [136]byte = [unsafe.Sizeof(rawFull{})]byte{}
	_ [264]byte = [unsafe.Sizeof(rawSubflow{})]byte{}
	_ [280]byte = [unsafe.Sizeof(unix.TCPInfo{})]byte{}
	_ [72]byte  = [unsafe.Offsetof(rawInfo{}.bytesAcked)]byte{}
	_ [40]byte  = [unsafe.Offsetof(rawFull{}.info)]byte{}
)

// usualSubflows is room for the first subflow and pm.MaxEndpoints further ones.
const usualSubflows = 9

func fullInfo(c *net.TCPConn) (Full, error) {
	var full Full
	err := with(c, func(fd int) (err error) {
		full, err = readFull(fd)
		return err
	})
	if err == nil {
		return full, nil
	}
	if !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.ENOPROTOOPT) {
		return Full{}, fmt.Errorf("read MPTCP_FULL_INFO: %w", err)
	}
	s, err := tcpInfo(c)
	if err != nil {
		return Full{}, err
	}
	return Full{
		Connection: Connection{
			Fallback:      true,
			BytesSent:     s.BytesSent - s.BytesRetrans,
			BytesReceived: s.BytesReceived,
			BytesAcked:    s.BytesAcked,
			BytesRetrans:  s.BytesRetrans,
			LastDataSent:  s.LastDataSent,
			LastDataRecv:  s.LastDataRecv,
			LastAckRecv:   s.LastAckRecv,
		},
		Subflows: []Subflow{s},
	}, nil
}

// readFull reads the snapshot, again with more room if subflows came meanwhile.
// A kernel that has MPTCP_INFO but not this option is asked the older way.
func readFull(fd int) (Full, error) {
	for room := uint32(usualSubflows); ; {
		addrs := make([]rawSubflow, room)
		tcps := make([]unix.TCPInfo, room)
		var pinned runtime.Pinner // the kernel gets the addresses in a struct
		pinned.Pin(&addrs[0])
		pinned.Pin(&tcps[0])
		raw := rawFull{
			tcpUser:  uint32(unsafe.Sizeof(tcps[0])),
			addrUser: uint32(unsafe.Sizeof(addrs[0])),
			room:     room,
			addrs:    uint64(uintptr(unsafe.Pointer(&addrs[0]))),
			tcps:     uint64(uintptr(unsafe.Pointer(&tcps[0]))),
		}
		_, err := getsockopt(fd, unix.SOL_MPTCP, optFullInfo, unsafe.Pointer(&raw), unsafe.Sizeof(raw))
		pinned.Unpin()
		if err != nil {
			return readParts(fd, err)
		}
		if raw.subflows > room {
			room = raw.subflows + 1
			continue
		}
		full := Full{Connection: raw.info.connection(), Subflows: make([]Subflow, raw.subflows)}
		for i := range full.Subflows {
			full.Subflows[i] = addrs[i].rawAddrs.subflow(addrs[i].id, &tcps[i])
		}
		return full, nil
	}
}

func (a *rawAddrs) subflow(id uint32, t *unix.TCPInfo) Subflow {
	s := subflow(t)
	s.ID, s.Local, s.Remote = id, a.local.addrPort(), a.remote.addrPort()
	return s
}

func (b *rawSockaddr) addrPort() netip.AddrPort {
	port := uint16(b[2])<<8 | uint16(b[3])
	switch binary.NativeEndian.Uint16(b[:2]) {
	case unix.AF_INET:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[4:8])), port)
	case unix.AF_INET6:
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[8:24])).Unmap(), port)
	}
	return netip.AddrPort{}
}

// unmap turns a *net.TCPAddr into an address without mapped form and zone, as
// rawSockaddr has it.
func unmap(a net.Addr) netip.AddrPort {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := t.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port())
}
