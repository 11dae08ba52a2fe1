package link

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"tributary/mptcp/pm"
)

// observe reads routes before addresses before interfaces. The kernel marks an
// interface as down before it removes the routes, so a route that is missing
// because of that is never seen beside an interface that still looks up.
func (l *linux) observe(also []string) (*observed, error) {
	o := &observed{sysctls: map[string]string{}}
	if err := l.knownRoutes(o); err != nil {
		return nil, fmt.Errorf("list routes: %w", err)
	}
	if err := l.observeRules(o); err != nil {
		return nil, fmt.Errorf("list rules: %w", err)
	}
	if err := l.observeDevices(o); err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	names := map[int]string{}
	for _, d := range o.devices {
		names[d.index] = d.name
	}
	for i := range o.routes {
		o.routes[i].dev = names[o.routes[i].index]
	}
	if err := l.observePaths(o, names); err != nil {
		return nil, err
	}
	paths := append(slices.Clone(sysctlPaths[:]), also...)
	for _, d := range o.devices {
		if !d.loopback && len(d.addrs) > 0 {
			paths = append(paths, pathFilter(d.name))
		}
	}
	for _, p := range paths {
		if v, err := readSysctl(p); err == nil {
			o.sysctls[p] = v
		}
	}
	return o, nil
}

// whole lists until a list was not disturbed by a change, a few times at most.
func whole[T any](list func() ([]T, error)) (all []T, err error) {
	for range 5 {
		if all, err = list(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	return all, err
}

// tunnels are the kinds of interfaces (IFLA_INFO_KIND) that are not links unless they
// are named, for what they carry goes over links. TUN and PPP are not among them: some
// modems and DSL lines have those.
var tunnels = [...]string{"wireguard", "ipip", "sit", "gre", "ip6gre", "ip6tnl", "vti", "vti6", "xfrm"}

func (l *linux) observeDevices(o *observed) error {
	addrs, err := whole(func() ([]netlink.Addr, error) { return l.route.AddrList(nil, netlink.FAMILY_ALL) })
	if err != nil {
		return err
	}
	links, err := whole(l.route.LinkList)
	if err != nil {
		return err
	}
	for _, ln := range links {
		a := ln.Attrs()
		d := device{index: a.Index, name: a.Name}
		d.up = a.RawFlags&unix.IFF_UP != 0
		d.carrier = a.RawFlags&unix.IFF_RUNNING != 0
		d.tunnel = slices.Contains(tunnels[:], ln.Type())
		d.loopback = a.RawFlags&unix.IFF_LOOPBACK != 0
		for _, na := range addrs {
			if na.LinkIndex != a.Index {
				continue
			}
			if x, ok := usable(na); ok {
				d.addrs = append(d.addrs, x)
			}
		}
		o.devices = append(o.devices, d)
	}
	return nil
}

// usable translates an address, if it is one that reaches beyond its link and
// is not under test any more.
func usable(na netlink.Addr) (address, bool) {
	ip, ok := netip.AddrFromSlice(na.IP)
	if !ok || na.Scope >= unix.RT_SCOPE_LINK || !ip.IsGlobalUnicast() {
		return address{}, false
	}
	if na.Flags&unix.IFA_F_DADFAILED != 0 || na.Flags&(unix.IFA_F_TENTATIVE|unix.IFA_F_OPTIMISTIC) == unix.IFA_F_TENTATIVE {
		return address{}, false
	}
	on := na.IPNet
	if na.Peer != nil {
		on = na.Peer
	}
	a := address{addr: ip.Unmap(), net: prefix(on), deprecated: na.Flags&unix.IFA_F_DEPRECATED != 0}
	if a.addr.Is6() {
		a.temporary = na.Flags&unix.IFA_F_TEMPORARY != 0
	} else {
		a.secondary = na.Flags&unix.IFA_F_SECONDARY != 0
	}
	return a, true
}

func prefix(n *net.IPNet) netip.Prefix {
	if n == nil {
		return netip.Prefix{}
	}
	ip, _ := netip.AddrFromSlice(n.IP)
	bits, _ := n.Mask.Size()
	return netip.PrefixFrom(ip.Unmap(), bits).Masked()
}

func (l *linux) observeRules(o *observed) error {
	rules, err := whole(func() ([]netlink.Rule, error) { return l.route.RuleList(netlink.FAMILY_ALL) })
	if err != nil {
		return err
	}
	for _, r := range rules {
		if r.Protocol != Protocol || r.Src == nil {
			continue
		}
		from, _ := netip.AddrFromSlice(r.Src.IP)
		o.rules = append(o.rules, rule{priority: r.Priority, from: from.Unmap(), table: r.Table, specific: r.SuppressPrefixlen == 0})
	}
	return nil
}

func (l *linux) observePaths(o *observed, names map[int]string) error {
	if l.pm == nil {
		return nil
	}
	endpoints, err := l.pm.Endpoints()
	if err != nil {
		return err
	}
	for _, e := range endpoints {
		o.endpoints = append(o.endpoints, endpoint{
			id: e.ID, addr: e.Addr.Unmap(), index: e.IfIndex, dev: names[e.IfIndex],
			backup: e.Flags&pm.Backup != 0, fullmesh: e.Flags&pm.Fullmesh != 0, signal: e.Flags&pm.Signal != 0, theirs: e.Flags,
			implicit: e.Flags&pm.Implicit != 0,
		})
	}
	now, err := l.pm.Limits()
	o.limits = limits(now)
	return err
}
