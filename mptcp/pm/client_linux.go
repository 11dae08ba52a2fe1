package pm

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"

	"github.com/mdlayher/genetlink"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// The family as linux/mptcp_pm.h has it.
const (
	familyName    = "mptcp_pm"
	familyVersion = 1
	eventGroup    = "mptcp_pm_events"

	cmdAddAddr   = 1
	cmdDelAddr   = 2
	cmdGetAddr   = 3
	cmdSetLimits = 5
	cmdGetLimits = 6
	cmdSetFlags  = 7

	attrAddr        = 1 // nest of addrAttr*
	attrRcvAddAddrs = 2 // u32
	attrSubflows    = 3 // u32

	addrAttrFamily  = 1 // u16
	addrAttrID      = 2 // u8
	addrAttrAddr4   = 3
	addrAttrAddr6   = 4
	addrAttrPort    = 5 // u16, host order
	addrAttrFlags   = 6 // u32
	addrAttrIfIndex = 7 // s32
)

// laminarProbe is the broadcast address of TEST-NET-3: no interface has it, even
// in a lab that takes its addresses from the documentation ranges.
var laminarProbe = netip.AddrFrom4([4]byte{203, 0, 113, 255})

type client struct {
	c      *genetlink.Conn
	family uint16
}

func newClient() (*client, error) {
	conn, family, err := dial()
	if err != nil {
		return nil, err
	}
	return &client{c: conn, family: family.ID}, nil
}

// dial opens a socket in the thread's namespace and looks the family up. Strict
// asks the kernel for its explanation of errors; every kernel with MPTCP has it.
func dial() (*genetlink.Conn, genetlink.Family, error) {
	conn, err := genetlink.Dial(&netlink.Config{Strict: true})
	if err != nil {
		return nil, genetlink.Family{}, fmt.Errorf("open generic netlink: %w", err)
	}
	family, err := lookup(conn)
	if err != nil {
		conn.Close()
		return nil, genetlink.Family{}, err
	}
	return conn, family, nil
}

func lookup(conn *genetlink.Conn) (genetlink.Family, error) {
	family, err := conn.GetFamily(familyName)
	if errors.Is(err, os.ErrNotExist) {
		return family, fmt.Errorf("%w: no netlink family %s", ErrUnsupported, familyName)
	}
	if err != nil {
		return family, fmt.Errorf("look up netlink family %s: %w", familyName, err)
	}
	return family, nil
}

func (c *client) close() error { return c.c.Close() }

func (c *client) endpoints() ([]Endpoint, error) {
	msgs, err := c.execute(cmdGetAddr, netlink.Dump, nil)
	if err != nil {
		return nil, fmt.Errorf("list MPTCP endpoints: %w", err)
	}
	all := make([]Endpoint, 0, len(msgs))
	for _, m := range msgs {
		e, err := decodeEndpoint(m.Data)
		if err != nil {
			return nil, fmt.Errorf("list MPTCP endpoints: %w", err)
		}
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b Endpoint) int { return cmp.Compare(a.ID, b.ID) })
	return all, nil
}

func (c *client) add(e Endpoint) error {
	return c.change(fmt.Sprintf("add MPTCP endpoint %v", e.Addr), cmdAddAddr, e.Addr, func(ae *netlink.AttributeEncoder) {
		if e.ID != 0 {
			ae.Uint8(addrAttrID, e.ID)
		}
		if e.Port != 0 {
			ae.Uint16(addrAttrPort, e.Port)
		}
		ae.Uint32(addrAttrFlags, uint32(e.Flags))
		if e.IfIndex != 0 {
			ae.Int32(addrAttrIfIndex, int32(e.IfIndex))
		}
	})
}

func (c *client) delete(id uint8) error {
	if id == 0 {
		return fmt.Errorf("delete MPTCP endpoint 0: %w", os.ErrNotExist)
	}
	_, err := c.execute(cmdDelAddr, netlink.Acknowledge, nest(func(ae *netlink.AttributeEncoder) {
		ae.Uint8(addrAttrID, id)
	}))
	if err != nil {
		err = fmt.Errorf("delete MPTCP endpoint %d: %w", id, err)
	}
	return c.explain(err, func(e Endpoint) bool { return e.ID == id })
}

// removeInitial leaves the ID out, which the kernel reads as ID 0.
func (c *client) removeInitial(addr netip.Addr) error {
	return c.change(fmt.Sprintf("remove initial MPTCP subflows of %v", addr), cmdDelAddr, addr, nil)
}

func (c *client) setFlags(addr netip.Addr, f Flags) error {
	err := c.change(fmt.Sprintf("set flags of MPTCP endpoint %v", addr), cmdSetFlags, addr, func(ae *netlink.AttributeEncoder) {
		ae.Uint32(addrAttrFlags, uint32(f))
	})
	return c.explain(err, func(e Endpoint) bool { return e.Addr == addr.Unmap() })
}

func (c *client) limits() (Limits, error) {
	msgs, err := c.execute(cmdGetLimits, 0, nil)
	if err != nil {
		return Limits{}, fmt.Errorf("read MPTCP limits: %w", err)
	}
	if len(msgs) != 1 {
		return Limits{}, fmt.Errorf("read MPTCP limits: %d answers, want 1", len(msgs))
	}
	l, err := decodeLimits(msgs[0].Data)
	if err != nil {
		return Limits{}, fmt.Errorf("read MPTCP limits: %w", err)
	}
	return l, nil
}

func (c *client) setLimits(l Limits) error {
	for _, n := range []int{l.Subflows, l.AddAddrAccepted} {
		if n < 0 || n > MaxEndpoints {
			return fmt.Errorf("set MPTCP limits: %d is not from 0 to %d", n, MaxEndpoints)
		}
	}
	_, err := c.execute(cmdSetLimits, netlink.Acknowledge, func(ae *netlink.AttributeEncoder) {
		ae.Uint32(attrRcvAddAddrs, uint32(l.AddAddrAccepted))
		ae.Uint32(attrSubflows, uint32(l.Subflows))
	})
	if err != nil {
		return fmt.Errorf("set MPTCP limits: %w", err)
	}
	return nil
}

func (c *client) probeLaminar() (known bool, err error) {
	if err := c.add(Endpoint{Addr: laminarProbe, Flags: Laminar}); err != nil {
		return false, fmt.Errorf("probe laminar: %w", err)
	}
	all, err := c.endpoints()
	if err != nil {
		return false, fmt.Errorf("probe laminar: %w", err)
	}
	i := slices.IndexFunc(all, func(e Endpoint) bool { return e.Addr == laminarProbe })
	if i < 0 {
		return false, fmt.Errorf("probe laminar: endpoint %v vanished", laminarProbe)
	}
	if err := c.delete(all[i].ID); err != nil {
		return false, fmt.Errorf("probe laminar: %w", err)
	}
	return all[i].Flags&Laminar != 0, nil
}

// change sends a command about one address. The rest of the address's nest comes
// from more, if any.
func (c *client) change(op string, cmd uint8, addr netip.Addr, more func(*netlink.AttributeEncoder)) error {
	if !addr.IsValid() {
		return fmt.Errorf("%s: no address", op)
	}
	_, err := c.execute(cmd, netlink.Acknowledge, nest(func(ae *netlink.AttributeEncoder) {
		encodeAddr(ae, addr)
		if more != nil {
			more(ae)
		}
	}))
	if err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	return nil
}

// explain adds os.ErrNotExist to an EINVAL, which is all the kernel says, if no
// endpoint is the one that was meant.
func (c *client) explain(err error, meant func(Endpoint) bool) error {
	if !errors.Is(err, unix.EINVAL) {
		return err
	}
	if all, e := c.endpoints(); e != nil || slices.ContainsFunc(all, meant) {
		return err
	}
	return fmt.Errorf("%w: %w", err, os.ErrNotExist)
}

func (c *client) execute(cmd uint8, flags netlink.HeaderFlags, encode func(*netlink.AttributeEncoder)) ([]genetlink.Message, error) {
	msg := genetlink.Message{Header: genetlink.Header{Command: cmd, Version: familyVersion}}
	if encode != nil {
		ae := netlink.NewAttributeEncoder()
		encode(ae)
		b, err := ae.Encode()
		if err != nil {
			return nil, err
		}
		msg.Data = b
	}
	return c.c.Execute(msg, c.family, netlink.Request|flags)
}
