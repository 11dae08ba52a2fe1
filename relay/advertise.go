package relay

import (
	"fmt"
	"net"
	"net/netip"
)

// advertised finds what a join link should call this host: the first public
// address, IPv4 before IPv6 because every access link has it; else the first
// address that another host can reach at all. Other is a public address of the other
// family beside a public one, or not valid.
func advertised() (host string, other netip.Addr, err error) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return "", other, fmt.Errorf("list own addresses: %w", err)
	}
	var own []netip.Addr
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			own = append(own, p.Addr().Unmap())
		}
	}
	best, other := choose(own)
	if !best.IsValid() {
		return "", other, fmt.Errorf("this host has no address that a gateway could reach")
	}
	return best.String(), other, nil
}

// choose returns the address of the greatest reach, and the first public one of the
// other family if both are public.
func choose(own []netip.Addr) (best, other netip.Addr) {
	rank := 0
	for _, a := range own {
		if r := reach(a); r > rank {
			best, rank = a, r
		}
	}
	if rank < public {
		return best, other
	}
	for _, a := range own {
		if a.Is4() != best.Is4() && reach(a) >= public {
			return best, a
		}
	}
	return best, other
}

// public is the least reach of an address that everybody can use.
const public = 3

func reach(ip netip.Addr) int {
	switch {
	case !ip.IsGlobalUnicast():
		return 0
	case ip.IsPrivate() && ip.Is6():
		return 1
	case ip.IsPrivate():
		return 2
	case ip.Is6():
		return 3
	}
	return 4
}
