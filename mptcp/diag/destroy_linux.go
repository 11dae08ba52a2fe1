package diag

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// sockDestroy is SOCK_DESTROY of linux/sock_diag.h.
const sockDestroy = 21

// end asks for the one socket of a pair to be destroyed. The kernel finds one that is bound
// to an interface, as those are that the path manager has joined, by that as well.
//
//	8 source port  10 destination port  12 source  28 destination  44 interface  48 cookie
func end(p Pair) error {
	c, err := netlink.Dial(unix.NETLINK_SOCK_DIAG, nil)
	if err != nil {
		return fmt.Errorf("end subflow %v to %v: %w", p.Local, p.Remote, err)
	}
	defer c.Close()
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
	destroy := netlink.Message{Header: netlink.Header{Type: sockDestroy, Flags: netlink.Request | netlink.Acknowledge}, Data: b}
	if _, err = c.Execute(destroy); errors.Is(err, unix.ENOENT) {
		var bound uint32
		if bound, err = boundTo(c, p, b); err == nil && bound == 0 {
			err = unix.ENOENT
		}
		if err == nil {
			binary.NativeEndian.PutUint32(b[44:], bound)
			_, err = c.Execute(destroy)
		}
	}
	if err != nil {
		return fmt.Errorf("end subflow %v to %v: %w", p.Local, p.Remote, err)
	}
	return nil
}

// boundTo returns the interface to which the socket of a pair is bound; 0 is none, or
// that there is no such socket. It takes a look through all TCP sockets.
func boundTo(c *netlink.Conn, p Pair, request []byte) (index uint32, err error) {
	answers, err := c.Execute(netlink.Message{
		Header: netlink.Header{Type: sockDiagByFamily, Flags: netlink.Request | netlink.Dump}, Data: request,
	})
	if err != nil {
		return 0, err
	}
	for _, a := range answers {
		if pair, _, err := read(a.Data); err == nil && pair == p {
			return binary.NativeEndian.Uint32(a.Data[40:]), nil // idiag_if of struct inet_diag_msg
		}
	}
	return 0, nil
}
