package diag

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Numbers of linux/sock_diag.h, linux/inet_diag.h and linux/mptcp.h.
const (
	sockDiagByFamily = 20

	extInfo     = 1 << 1 // INET_DIAG_INFO, with which the next one comes
	attrULP     = 19     // INET_DIAG_ULP_INFO, a nest
	ulpMPTCP    = 3      // INET_ULP_INFO_MPTCP, a nest in it
	subflowFlag = 8      // MPTCP_SUBFLOW_ATTR_FLAGS, u32

	requestSize = 56 // struct inet_diag_req_v2
	messageSize = 72 // struct inet_diag_msg
	established = 1 << 1
)

func subflows(port uint16) (map[Pair]Flags, error) {
	c, err := netlink.Dial(unix.NETLINK_SOCK_DIAG, nil)
	if err != nil {
		return nil, fmt.Errorf("ask for sockets: %w", err)
	}
	defer c.Close()
	all := make(map[Pair]Flags)
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		answers, err := c.Execute(netlink.Message{
			Header: netlink.Header{Type: sockDiagByFamily, Flags: netlink.Request | netlink.Dump}, Data: request(family, port),
		})
		if err != nil {
			return nil, fmt.Errorf("ask for sockets: %w", err)
		}
		for _, a := range answers {
			pair, flags, err := read(a.Data)
			if err != nil {
				return nil, fmt.Errorf("ask for sockets: %w", err)
			}
			if flags != 0 {
				all[pair] = flags
			}
		}
	}
	return all, nil
}

// request asks for the TCP sockets of a family that lead to a port.
//
//	0 family  1 protocol  2 ext  4 states  8 source port  10 destination port
func request(family uint8, port uint16) []byte {
	b := make([]byte, requestSize)
	b[0], b[1], b[2] = family, unix.IPPROTO_TCP, extInfo
	binary.NativeEndian.PutUint32(b[4:], established)
	binary.BigEndian.PutUint16(b[10:], port)
	return b
}

// read takes apart what the kernel says of a socket. Of plain TCP the flags are 0.
//
//	0 family  4 source port  6 destination port  8 source  24 destination  72 attributes
func read(b []byte) (Pair, Flags, error) {
	if len(b) < messageSize {
		return Pair{}, 0, errors.New("too short an answer")
	}
	at := func(addr, port int) netip.AddrPort {
		a := netip.AddrFrom4([4]byte(b[addr : addr+4]))
		if b[0] == unix.AF_INET6 {
			a = netip.AddrFrom16([16]byte(b[addr : addr+16])).Unmap()
		}
		return netip.AddrPortFrom(a, binary.BigEndian.Uint16(b[port:]))
	}
	p := Pair{Local: at(8, 4), Remote: at(24, 6)}
	flags, err := flagsIn(b[messageSize:])
	return p, flags, err
}

func flagsIn(attributes []byte) (flags Flags, err error) {
	d, err := netlink.NewAttributeDecoder(attributes)
	if err != nil {
		return 0, err
	}
	for d.Next() {
		if d.Type() != attrULP {
			continue
		}
		d.Nested(func(ulp *netlink.AttributeDecoder) error {
			for ulp.Next() {
				if ulp.Type() == ulpMPTCP {
					ulp.Nested(func(m *netlink.AttributeDecoder) error {
						for m.Next() {
							if m.Type() == subflowFlag {
								flags = Flags(m.Uint32())
							}
						}
						return nil
					})
				}
			}
			return nil
		})
	}
	return flags, d.Err()
}
