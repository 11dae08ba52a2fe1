package link

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"tributary/mptcp/pm"
)

// apply takes one step. What is to go and is gone already, as the kernel removes
// much by itself with an interface, is no error.
func (l *linux) apply(s step) error {
	switch it := s.item.(type) {
	case endpoint:
		return l.applyEndpoint(s.verb, it)
	case limits:
		return l.pm.SetLimits(pm.Limits(it))
	case sysctl:
		return writeSysctl(it)
	case route:
		l.refresh()
		if s.verb == verbDel {
			return unless(l.route.RouteDel(it.kernel()), unix.ESRCH, unix.ENODEV)
		}
		return l.route.RouteReplace(it.kernel())
	case rule:
		if s.verb == verbDel {
			return unless(l.route.RuleDel(it.kernel()), unix.ENOENT)
		}
		return unless(l.route.RuleAdd(it.kernel()), unix.EEXIST)
	}
	return fmt.Errorf("unknown step %T", s.item)
}

func (l *linux) applyEndpoint(verb string, e endpoint) error {
	flags := pm.Subflow
	if e.signal {
		flags = pm.Signal
	}
	if e.backup {
		flags |= pm.Backup
	}
	if e.fullmesh {
		flags |= pm.Fullmesh
	}
	switch verb {
	case verbAdopt:
		return nil
	case verbRestore:
		return unless(l.pm.Add(pm.Endpoint{ID: e.id, Addr: e.addr, Flags: e.theirs &^ pm.Implicit, IfIndex: e.index}), fs.ErrExist)
	case verbDelete:
		return unless(l.pm.Delete(e.id), fs.ErrNotExist)
	case verbChange:
		return l.pm.SetFlags(e.addr, flags)
	}
	return l.pm.Add(pm.Endpoint{Addr: e.addr, Flags: flags, IfIndex: e.index})
}

func unless(err error, harmless ...error) error {
	for _, h := range harmless {
		if errors.Is(err, h) {
			return nil
		}
	}
	return err
}

func (r route) kernel() *netlink.Route {
	k := &netlink.Route{
		LinkIndex: r.index,
		Table:     r.table,
		Protocol:  Protocol,
		Type:      unix.RTN_UNICAST,
		Family:    netlink.FAMILY_V6,
		Dst:       &net.IPNet{IP: r.dst.Addr().AsSlice(), Mask: net.CIDRMask(r.dst.Bits(), r.dst.Addr().BitLen())},
	}
	if r.dst.Addr().Is4() {
		k.Family = netlink.FAMILY_V4
	}
	switch {
	case !r.via.IsValid():
		if r.dst.Addr().Is4() {
			k.Scope = netlink.SCOPE_LINK
		}
	case r.via.Is6() && r.dst.Addr().Is4():
		k.Via = &netlink.Via{AddrFamily: unix.AF_INET6, Addr: r.via.AsSlice()}
	default:
		k.Gw = r.via.AsSlice()
	}
	if r.onlink {
		k.Flags = unix.RTNH_F_ONLINK
	}
	return k
}

func (r rule) kernel() *netlink.Rule {
	k := netlink.NewRule()
	k.Priority = r.priority
	k.Table = r.table
	k.Protocol = Protocol
	k.Family = netlink.FAMILY_V4
	if r.from.Is6() {
		k.Family = netlink.FAMILY_V6
	}
	host := netip.PrefixFrom(r.from, r.from.BitLen())
	k.Src = &net.IPNet{IP: host.Addr().AsSlice(), Mask: net.CIDRMask(host.Bits(), host.Bits())}
	if r.specific {
		k.SuppressPrefixlen = 0
	}
	return k
}
