package relay

import (
	"fmt"
	"net"
	"net/netip"
)

// advertised finds what a join link should call this host: the first public
// address, IPv4 before IPv6 because every access link has it; else the first
// address that another host can reach at all.
func advertised() (string, error) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return "", fmt.Errorf("list own addresses: %w", err)
	}
	best, bestRank := netip.Addr{}, 0
	for _, a := range addrs {
		p, err := netip.ParsePrefix(a.String())
		if err != nil {
			continue
		}
		if r := reach(p.Addr().Unmap()); r > bestRank {
			best, bestRank = p.Addr().Unmap(), r
		}
	}
	if bestRank == 0 {
		return "", fmt.Errorf("this host has no address that a gateway could reach")
	}
	return best.String(), nil
}

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
