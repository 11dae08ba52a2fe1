package mptcp

import (
	"errors"
	"unsafe"

	"golang.org/x/sys/unix"
)

// maxParts is how many subflows readParts has room for: an old kernel has at
// most 8 beyond the first.
const maxParts = 16

// rawParts is what MPTCP_TCPINFO and MPTCP_SUBFLOW_ADDRS fill: struct
// mptcp_subflow_data and an array.
type rawParts[T any] struct {
	size     uint32 // of this header
	subflows uint32 // how many there are
	kernel   uint32 // the kernel's size of an element
	user     uint32 // ours
	elements [maxParts]T
}

func readPart[T any](fd, opt int) (*rawParts[T], error) {
	p := &rawParts[T]{size: 16, user: uint32(unsafe.Sizeof(*new(T)))}
	_, err := getsockopt(fd, unix.SOL_MPTCP, opt, unsafe.Pointer(p), unsafe.Sizeof(*p))
	return p, err
}

// readParts makes a snapshot as readFull does on kernels from 5.16 to 6.4, in
// three calls between which subflows may come or go; then it tries again. It
// returns cause if this is no MPTCP connection. Subflows are numbered as found.
func readParts(fd int, cause error) (Full, error) {
	if !errors.Is(cause, unix.EOPNOTSUPP) {
		return Full{}, cause
	}
	for range 3 {
		raw, _, err := readInfo(fd)
		if err != nil {
			return Full{}, cause
		}
		addrs, err := readPart[rawAddrs](fd, optSubflowAddrs)
		if err != nil {
			return Full{}, err
		}
		tcps, err := readPart[unix.TCPInfo](fd, optTCPInfo)
		if err != nil {
			return Full{}, err
		}
		if addrs.subflows != tcps.subflows {
			continue
		}
		full := Full{Connection: raw.connection(), Subflows: make([]Subflow, min(addrs.subflows, maxParts))}
		for i := range full.Subflows {
			full.Subflows[i] = addrs.elements[i].subflow(uint32(i+1), &tcps.elements[i])
		}
		return full, nil
	}
	return Full{}, unix.EAGAIN
}
