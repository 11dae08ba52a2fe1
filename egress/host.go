package egress

import (
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"
)

// ownFor is how long the host's own addresses are trusted. An address that the
// host gains, say by DHCP, could be reached through the relay for that long; a
// lookup costs some ten microseconds and grows with the interfaces.
const ownFor = 5 * time.Second

// A host knows the addresses of the machine we run on.
type host struct {
	extra      []netip.Addr
	interfaces func() ([]netip.Addr, error)

	mu    sync.Mutex
	own   []netip.Addr
	until time.Time
}

// addrs returns all addresses that lead to this host, unmapped and without zones,
// not to be changed. When they cannot be found
// out it fails, and the caller must not dial.
func (h *host) addrs() ([]netip.Addr, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if time.Now().Before(h.until) {
		return h.own, nil
	}
	found, err := h.interfaces()
	if err != nil {
		return nil, fmt.Errorf("find out this host's own addresses: %w", err)
	}
	h.own = h.own[:0:0] // callers may still read the old one
	for _, ip := range append(found, h.extra...) {
		h.own = append(h.own, ip.Unmap().WithZone(""))
	}
	h.until = time.Now().Add(ownFor)
	return h.own, nil
}

// has reports whether this host has an address of ip's family with which it can
// leave its own links. In doubt it has.
func (h *host) has(ip netip.Addr) bool {
	own, err := h.addrs()
	if err != nil {
		return true
	}
	for _, o := range own {
		if o.Is4() == ip.Is4() && !o.IsLoopback() && !o.IsLinkLocalUnicast() {
			return true
		}
	}
	return false
}

// interfaceAddrs returns the addresses of all interfaces, up or down.
func interfaceAddrs() ([]netip.Addr, error) {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	var own []netip.Addr
	for _, a := range all {
		n, ok := a.(*net.IPNet)
		if !ok {
			continue
		}
		if ip, ok := netip.AddrFromSlice(n.IP); ok {
			own = append(own, ip)
		}
	}
	return own, nil
}
