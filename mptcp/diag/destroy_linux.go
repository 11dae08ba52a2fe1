package diag

import (
	"encoding/binary"
	"fmt"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// sockDestroy is SOCK_DESTROY of linux/sock_diag.h.
const sockDestroy = 21

// end asks for the one socket of a pair to be destroyed.
//
//	8 source port  10 destination port  12 source  28 destination  44 interface  48 cookie
func end(p Pair) error {
	b := make([]byte, requestSize)
	b[0], b[1] = unix.AF_INET6, unix.IPPROTO_TCP
	binary.NativeEndian.PutUint32(b[4:], ^uint32(0))
	binary.BigEndian.PutUint16(b[8:], p.Local.Port())
	binary.BigEndian.PutUint16(b[10:], p.Remote.Port())
	for at, a := range map[int][]byte{12: p.Local.Addr().AsSlice(), 28: p.Remote.Addr().AsSlice()} {
		if copy(b[at:], a) == 4 {
			b[0] = unix.AF_INET
		}
	}
	binary.NativeEndian.PutUint64(b[48:], ^uint64(0)) // INET_DIAG_NOCOOKIE, twice
	c, err := netlink.Dial(unix.NETLINK_SOCK_DIAG, nil)
	if err == nil {
		defer c.Close()
		_, err = c.Execute(netlink.Message{Header: netlink.Header{Type: sockDestroy, Flags: netlink.Request | netlink.Acknowledge}, Data: b})
	}
	if err != nil {
		return fmt.Errorf("end subflow %v to %v: %w", p.Local, p.Remote, err)
	}
	return nil
}
