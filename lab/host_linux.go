package lab

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A Host is one machine of a [Network]: a network namespace with its own
// interfaces, routes and sysctls, and a mount namespace with its own /etc/hosts,
// /etc/resolv.conf and /sys.
type Host struct {
	// Name is the host's name in the drawing at [Network].
	Name string

	network *Network
	ns      *namespace

	mu       sync.Mutex
	closed   bool
	commands map[*Cmd]struct{}
}

// Do runs fn on a thread inside the host's namespaces and returns its error.
// Sockets that fn opens belong to the host for ever; goroutines that it starts
// do not run inside. The thread ends with fn, which costs about 0.1 ms.
func (h *Host) Do(fn func() error) error {
	if err := h.ns.do(fn); err != nil {
		return fmt.Errorf("host %s: %w", h.Name, err)
	}
	return nil
}

// Sysctl sets a sysctl of the host, named with dots as sysctl(8) does. Only
// those under net belong to the host alone; others are refused.
func (h *Host) Sysctl(name, value string) error {
	if !strings.HasPrefix(name, "net.") {
		return fmt.Errorf("sysctl %s belongs to the whole machine", name)
	}
	path := filepath.Join("/proc/sys", filepath.FromSlash(strings.ReplaceAll(name, ".", "/")))
	return h.Do(func() error {
		if err := os.WriteFile(path, []byte(value), 0); err != nil {
			return fmt.Errorf("set sysctl %s to %q: %w", name, value, err)
		}
		return nil
	})
}

// NetNS returns a descriptor of the host's network namespace, for netlink
// libraries. It belongs to the host: do not close it, nor use it after Close.
func (h *Host) NetNS() int { return h.ns.net }

// ReadSysctl returns the value of a sysctl of the host, without its newline.
func (h *Host) ReadSysctl(name string) (value string, err error) {
	path := filepath.Join("/proc/sys", filepath.FromSlash(strings.ReplaceAll(name, ".", "/")))
	err = h.Do(func() error {
		b, err := os.ReadFile(path)
		value = strings.TrimSpace(string(b))
		return err
	})
	return value, err
}

// kill ends every program on the host and waits for it.
func (h *Host) kill() {
	h.mu.Lock()
	h.closed = true
	var running []*Cmd
	for c := range h.commands {
		running = append(running, c)
	}
	h.mu.Unlock()
	for _, c := range running {
		c.Process.Kill()
		c.Wait()
	}
}

// An iface is what a DHCP client would configure on an interface.
type iface struct {
	host   *Host
	name   string
	addrs  []netip.Prefix
	routes []route
}

// A route leads to a destination by a gateway or, without one, straight out of
// the interface.
type route struct {
	to     netip.Prefix
	via    netip.Addr
	metric int
}

func (i *iface) find() (*netlink.Handle, netlink.Link, error) {
	nl, err := i.host.ns.routing()
	if err != nil {
		return nil, nil, err
	}
	dev, err := nl.LinkByName(i.name)
	if err != nil {
		return nil, nil, fmt.Errorf("find %s on %s: %w", i.name, i.host.Name, err)
	}
	return nl, dev, nil
}

// up sets the interface up and gives it its addresses and routes.
func (i *iface) up() error {
	nl, dev, err := i.find()
	if err != nil {
		return err
	}
	if err := nl.LinkSetUp(dev); err != nil {
		return fmt.Errorf("set %s on %s up: %w", i.name, i.host.Name, err)
	}
	for _, a := range i.addrs {
		// Duplicate address detection would keep an IPv6 address unusable for a second.
		addr := &netlink.Addr{IPNet: ipNet(a), Flags: unix.IFA_F_NODAD}
		if err := nl.AddrReplace(dev, addr); err != nil {
			return fmt.Errorf("give %s to %s on %s: %w", a, i.name, i.host.Name, err)
		}
	}
	for _, r := range i.routes {
		nr := &netlink.Route{LinkIndex: dev.Attrs().Index, Dst: ipNet(r.to), Priority: r.metric, Protocol: unix.RTPROT_DHCP}
		if r.via.IsValid() {
			nr.Gw = r.via.AsSlice()
		}
		if err := nl.RouteReplace(nr); err != nil {
			return fmt.Errorf("route %s via %s on %s: %w", r.to, i.name, i.host.Name, err)
		}
	}
	return nil
}

// keep leaves an interface just the addresses and routes of one family, 4 or 6.
func (i *iface) keep(family int) {
	if family == 0 {
		return
	}
	i.addrs = slices.DeleteFunc(i.addrs, func(p netip.Prefix) bool { return p.Addr().Is6() != (family == 6) })
	i.routes = slices.DeleteFunc(i.routes, func(r route) bool { return r.to.Addr().Is6() != (family == 6) })
}

// down is an unplugged cable: the interface goes down, its routes with it, and
// the DHCP client drops the addresses.
func (i *iface) down() error {
	nl, dev, err := i.find()
	if err != nil {
		return err
	}
	if err := nl.LinkSetDown(dev); err != nil {
		return fmt.Errorf("set %s on %s down: %w", i.name, i.host.Name, err)
	}
	for _, a := range i.addrs {
		// The kernel itself drops IPv6 addresses of an interface that goes down.
		if a.Addr().Is6() {
			continue
		}
		addr := &netlink.Addr{IPNet: ipNet(a)}
		if err := nl.AddrDel(dev, addr); err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
			return fmt.Errorf("take %s from %s on %s: %w", a, i.name, i.host.Name, err)
		}
	}
	return nil
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
