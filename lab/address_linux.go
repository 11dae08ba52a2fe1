package lab

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
)

// The addresses look public on purpose. An egress that refuses private,
// loopback, link-local, shared (CGNAT) and documentation ranges, as it should,
// must reach the lab's relay and server with its ordinary policy. 11.0.0.0/8 is
// allocated but not announced to the Internet, 2d00::/8 is global unicast space
// that nobody was given; and from inside the closed namespaces no packet gets
// out anyway. Leg n is 11.n.0.0/24 and 2d00:n::/64; the routers are .1, the
// hosts .2. Access links count from 1.
const (
	legRelay       = 100
	legServer      = 200
	legUnreachable = 253
	legBlackhole   = 254
)

const (
	routerEnd = 1
	hostEnd   = 2
)

// Names that the lab knows. Those of hosts are in every /etc/hosts too, the
// others in the DNS only.
const (
	RelayName       = "relay.lab"       // the relay
	ServerName      = "server.lab"      // the final server
	WWWName         = "www.lab"         // the final server, by DNS only
	V4Name          = "v4.lab"          // the final server, IPv4 only
	V6Name          = "v6.lab"          // the final server, IPv6 only
	BlackholeName   = "blackhole.lab"   // an address that swallows every packet
	UnreachableName = "unreachable.lab" // an address answered with ICMP host unreachable
	NowhereName     = "nowhere.lab"     // a name that does not exist
	BrokenName      = "broken.lab"      // a name for which the DNS server fails
)

// Ports of the final server.
const (
	PortHTTP    = 80   // HTTP over MPTCP or TCP
	PortPlain   = 8080 // the same over TCP only, as final servers are
	PortEcho    = 7    // echoes, TCP and UDP
	PortBanner  = 22   // speaks first ("SSH-2.0-lab\r\n"), then echoes
	PortRefused = 81   // nothing listens there
)

func leg4(leg, end int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{11, byte(leg), 0, byte(end)}), 24)
}

func leg6(leg, end int) netip.Prefix {
	a := [16]byte{0x2d, 0x00, 2: 0, 3: byte(leg), 15: byte(end)}
	return netip.PrefixFrom(netip.AddrFrom16(a), 64)
}

// firstSite is the first address of [Config.Sites].
const firstSite = 10

// siteAddr is the address of the i-th site.
func siteAddr(i int) netip.Prefix { return leg4(legServer, firstSite+i) }

func isSite(a netip.Addr) bool {
	return a.Is4() && leg4(legServer, 0).Contains(a) && a.As4()[3] >= firstSite
}

func legAddrs(leg, end int, ipv6 bool) []netip.Prefix {
	if ipv6 {
		return []netip.Prefix{leg4(leg, end), leg6(leg, end)}
	}
	return []netip.Prefix{leg4(leg, end)}
}

// defaultRoutes leads everything to the router of a leg.
func defaultRoutes(leg, metric int, ipv6 bool) []route {
	rs := []route{{netip.MustParsePrefix("0.0.0.0/0"), leg4(leg, routerEnd).Addr(), metric}}
	if ipv6 {
		rs = append(rs, route{netip.MustParsePrefix("::/0"), leg6(leg, routerEnd).Addr(), metric})
	}
	return rs
}

// resolverAddr is that of the resolver at home's provider, on the host "net".
func resolverAddr() netip.Addr { return leg4(1, routerEnd).Addr() }

// names returns the lab's zone. A name without addresses fails to resolve by
// the server's fault; one that is missing does not exist.
func names(ipv6 bool) map[string][]netip.Addr {
	addrs := func(leg int) (as []netip.Addr) {
		for _, p := range legAddrs(leg, hostEnd, ipv6) {
			as = append(as, p.Addr())
		}
		return as
	}
	zone := map[string][]netip.Addr{
		RelayName: addrs(legRelay), ServerName: addrs(legServer), WWWName: addrs(legServer),
		V4Name:        {leg4(legServer, hostEnd).Addr()},
		BlackholeName: addrs(legBlackhole), UnreachableName: addrs(legUnreachable),
		BrokenName: nil,
	}
	if ipv6 {
		zone[V6Name] = []netip.Addr{leg6(legServer, hostEnd).Addr()}
	}
	return zone
}

// hostFiles are the files that a host has instead of the machine's.
func hostFiles(zone map[string][]netip.Addr, nameserver netip.Addr) map[string]string {
	var hosts strings.Builder
	hosts.WriteString("127.0.0.1 localhost\n::1 localhost\n")
	for _, name := range slices.Sorted(maps.Keys(zone)) {
		if name != RelayName && name != ServerName {
			continue
		}
		for _, a := range zone[name] {
			fmt.Fprintf(&hosts, "%s %s\n", a, name)
		}
	}
	return map[string]string{
		"/etc/hosts":       hosts.String(),
		"/etc/resolv.conf": fmt.Sprintf("nameserver %s\n", nameserver),
	}
}
