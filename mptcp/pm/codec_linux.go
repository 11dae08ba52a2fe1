package pm

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// nest wraps what inside encodes into the address nest.
func nest(inside func(*netlink.AttributeEncoder)) func(*netlink.AttributeEncoder) {
	return func(ae *netlink.AttributeEncoder) {
		ae.Nested(attrAddr, func(ae *netlink.AttributeEncoder) error {
			inside(ae)
			return nil
		})
	}
}

func encodeAddr(ae *netlink.AttributeEncoder, addr netip.Addr) {
	addr = addr.Unmap()
	if addr.Is4() {
		ae.Uint16(addrAttrFamily, unix.AF_INET)
		ae.Bytes(addrAttrAddr4, addr.AsSlice())
		return
	}
	ae.Uint16(addrAttrFamily, unix.AF_INET6)
	ae.Bytes(addrAttrAddr6, addr.AsSlice())
}

func decodeEndpoint(b []byte) (Endpoint, error) {
	var e Endpoint
	ad, err := netlink.NewAttributeDecoder(b)
	if err != nil {
		return e, fmt.Errorf("decode endpoint: %w", err)
	}
	for ad.Next() {
		if ad.Type() == attrAddr {
			ad.Nested(e.decode)
		}
	}
	if err := ad.Err(); err != nil {
		return Endpoint{}, fmt.Errorf("decode endpoint: %w", err)
	}
	if !e.Addr.IsValid() {
		return Endpoint{}, errors.New("decode endpoint: no address")
	}
	return e, nil
}

func (e *Endpoint) decode(ad *netlink.AttributeDecoder) error {
	for ad.Next() {
		switch ad.Type() {
		case addrAttrID:
			e.ID = ad.Uint8()
		case addrAttrAddr4, addrAttrAddr6:
			ad.Do(decodeAddr(&e.Addr))
		case addrAttrPort:
			e.Port = ad.Uint16()
		case addrAttrFlags:
			e.Flags = Flags(ad.Uint32())
		case addrAttrIfIndex:
			e.IfIndex = int(ad.Int32())
		}
	}
	return ad.Err()
}

// decodeAddr reads an address of either family. A mapped one becomes plain IPv4:
// the kernel says either, depending on the socket's family.
func decodeAddr(to *netip.Addr) func([]byte) error {
	return func(b []byte) error {
		a, ok := netip.AddrFromSlice(b)
		if !ok {
			return fmt.Errorf("address of %d bytes", len(b))
		}
		*to = a.Unmap()
		return nil
	}
}

func decodeLimits(b []byte) (Limits, error) {
	var l Limits
	ad, err := netlink.NewAttributeDecoder(b)
	if err != nil {
		return l, fmt.Errorf("decode limits: %w", err)
	}
	for ad.Next() {
		switch ad.Type() {
		case attrRcvAddAddrs:
			l.AddAddrAccepted = int(ad.Uint32())
		case attrSubflows:
			l.Subflows = int(ad.Uint32())
		}
	}
	if err := ad.Err(); err != nil {
		return Limits{}, fmt.Errorf("decode limits: %w", err)
	}
	return l, nil
}
