package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"strings"
	"sync"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A Network is four hosts and the links between them:
//
//	        dsl  (TUN pair, R)        ┌───── veth, no delay ───── relay
//	 home ══════════════════════ net ─┤
//	        lte  (TUN pair, R)        └── TUN pair, P/2 each way ─ server
//
//	11.1.0.2 ─ dsl ─ 11.1.0.1   11.100.0.1 ─ relay  ─ 11.100.0.2
//	11.2.0.2 ─ lte ─ 11.2.0.1   11.200.0.1 ─ server ─ 11.200.0.2
//	                            11.253.0.0/24 unreachable, 11.254.0.0/24 blackhole
//
// home has one interface, address and default route per access link, in the
// main table with rising metrics, as DHCP clients leave them; policy rules are
// the gateway's business. net is the Internet: it forwards, and takes from an
// access link only packets with that link's source address (BCP 38, IPv4), as
// providers do. The interfaces of net are named after the links and hosts they
// lead to; relay and server have an eth0.
type Network struct {
	config Config
	zone   map[string][]netip.Addr
	hosts  map[string]*Host
	links  map[string]*Link
	server *Server
	// resolver is that of home's provider; nil without sites.
	resolver *nameServer
	close    func() error
}

// New builds a Network and starts the servers on the final server. Several may
// exist at once. It needs root and /dev/net/tun. The context only bounds the
// building.
func New(ctx context.Context, c Config) (*Network, error) {
	c = c.withDefaults()
	n := &Network{
		config: c, zone: names(c.IPv6),
		hosts: make(map[string]*Host), links: make(map[string]*Link),
	}
	for i, name := range c.Sites {
		n.zone[name] = []netip.Addr{siteAddr(i).Addr()}
	}
	n.close = sync.OnceValue(n.tearDown)
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("build the lab: %w", err)
	}
	for _, build := range []func() error{n.makeHosts, n.makeLinks, n.connectRelay, n.deadEnds, n.serve} {
		err := context.Cause(ctx)
		if err == nil {
			err = build()
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("build the lab: %w", err), n.Close())
		}
	}
	return n, nil
}

// Host returns the host "home", "net", "relay" or "server", nil for others.
func (n *Network) Host(name string) *Host { return n.hosts[name] }

// Link returns the access link of that name, or the final server's leg as
// "server"; nil for others.
func (n *Network) Link(name string) *Link { return n.links[name] }

// Links returns the names of the access links, the preferred one first.
func (n *Network) Links() []string {
	var names []string
	for _, l := range n.config.Links {
		names = append(names, l.Name)
	}
	return names
}

// Addrs returns the addresses of a name of the lab (see [ServerName] and its
// neighbours), IPv4 first; none if it does not resolve.
func (n *Network) Addrs(name string) []netip.Addr { return n.zone[name] }

// Server returns the final server.
func (n *Network) Server() *Server { return n.server }

// Close ends the programs started with [Host.Command], the servers and the
// links, and waits for all of them. The namespaces vanish with the last socket
// in them. Closing again does nothing.
func (n *Network) Close() error { return n.close() }

func (n *Network) tearDown() error {
	var errs []error
	for _, h := range n.hosts {
		h.kill()
	}
	if n.server != nil {
		errs = append(errs, n.server.close())
	}
	for _, l := range n.links {
		errs = append(errs, l.close())
	}
	for _, h := range n.hosts {
		errs = append(errs, h.ns.close())
	}
	return errors.Join(errs...)
}

func (n *Network) makeHosts() error {
	for _, name := range []string{"home", "net", "relay", "server"} {
		nameserver := leg4(legServer, hostEnd).Addr()
		if name == "home" && len(n.config.Sites) > 0 {
			nameserver = resolverAddr()
		}
		ns, err := newNamespace(hostFiles(n.zone, nameserver))
		if err != nil {
			return fmt.Errorf("host %s: %w", name, err)
		}
		h := &Host{Name: name, network: n, ns: ns, commands: make(map[*Cmd]struct{})}
		n.hosts[name] = h
		for key, value := range n.sysctls(name) {
			err := h.Sysctl(key, value)
			if errors.Is(err, fs.ErrNotExist) && strings.HasPrefix(key, "net.ipv6.") && !n.config.IPv6 {
				continue // a kernel without IPv6
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// sysctls are those that a host needs, or that would else depend on the machine,
// whose IPv4 settings a new namespace inherits.
func (n *Network) sysctls(host string) map[string]string {
	s := map[string]string{
		"net.ipv4.conf.all.rp_filter":     "0",
		"net.ipv4.conf.default.rp_filter": "0",
	}
	switch host {
	case "home": // what systemd sets: loose
		s["net.ipv4.conf.all.rp_filter"] = "2"
		s["net.ipv4.conf.default.rp_filter"] = "2"
	case "net":
		s["net.ipv4.ip_forward"] = "1"
		s["net.ipv4.icmp_ratelimit"] = "0" // else a dead end is silent at times
		if n.config.IPv6 {
			s["net.ipv6.conf.all.forwarding"] = "1"
		}
	}
	if n.config.IPv6 {
		s["net.ipv6.conf.default.accept_ra"] = "0"
	} else {
		// New interfaces only. lo keeps ::1: the net package looks for it once per
		// process, and would otherwise take IPv6 for missing everywhere.
		s["net.ipv6.conf.default.disable_ipv6"] = "1"
	}
	return s
}

func (n *Network) makeLinks() error {
	home, inet, server := n.hosts["home"], n.hosts["net"], n.hosts["server"]
	v6 := n.config.IPv6
	for i, c := range n.config.Links {
		leg := i + 1
		near := &iface{home, c.Name, legAddrs(leg, hostEnd, v6), defaultRoutes(leg, 100*leg, v6)}
		near.keep(n.config.Only[c.Name])
		far := &iface{host: inet, name: c.Name, addrs: legAddrs(leg, routerEnd, v6)}
		l, err := newLink(c.Name, near, far, near, c.Shape, n.config.Seed+uint64(leg))
		if err != nil {
			return err
		}
		n.links[c.Name] = l
		if err := inet.Sysctl("net.ipv4.conf."+c.Name+".rp_filter", "1"); err != nil {
			return err
		}
	}
	near := &iface{host: inet, name: "server", addrs: legAddrs(legServer, routerEnd, v6)}
	far := &iface{server, "eth0", legAddrs(legServer, hostEnd, v6), defaultRoutes(legServer, 100, v6)}
	for i := range n.config.Sites {
		far.addrs = append(far.addrs, siteAddr(i))
	}
	l, err := newLink("server", near, far, far, n.config.Server, n.config.Seed+legServer)
	if err != nil {
		return err
	}
	n.links["server"] = l
	return nil
}

func (n *Network) connectRelay() error {
	inet, relay, v6 := n.hosts["net"], n.hosts["relay"], n.config.IPv6
	veth := &netlink.Veth{PeerName: "eth0", PeerNamespace: netlink.NsFd(relay.ns.net)}
	veth.Name = "relay"
	if err := inet.ns.netlink.LinkAdd(veth); err != nil {
		return fmt.Errorf("add a veth pair: %w", err)
	}
	for _, i := range []*iface{
		{host: inet, name: "relay", addrs: legAddrs(legRelay, routerEnd, v6)},
		{relay, "eth0", legAddrs(legRelay, hostEnd, v6), defaultRoutes(legRelay, 100, v6)},
	} {
		if err := i.up(); err != nil {
			return err
		}
	}
	return nil
}

// deadEnds gives net the destinations that swallow or refuse every packet.
func (n *Network) deadEnds() error {
	for leg, kind := range map[int]int{legBlackhole: unix.RTN_BLACKHOLE, legUnreachable: unix.RTN_UNREACHABLE} {
		for _, p := range legAddrs(leg, 0, n.config.IPv6) {
			if err := n.hosts["net"].ns.netlink.RouteAdd(&netlink.Route{Dst: ipNet(p), Type: kind}); err != nil {
				return fmt.Errorf("add the dead end %s: %w", p, err)
			}
		}
	}
	return nil
}
