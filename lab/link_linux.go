package lab

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"
)

// A Link is an emulated line between two hosts: an access link between home and
// net, or the leg between net and the final server. All its methods may be used
// while traffic runs.
type Link struct {
	// Name is the link's name and that of its interface at home.
	Name string

	plug     *iface // the end that Down unplugs
	files    [2]*os.File
	up, down *pipe
	filter   filter
	tap      tap // of both directions
	loops    sync.WaitGroup
}

// Counters are what became of the packets of one direction since the start.
// Bytes are those of IP packets.
type Counters struct {
	Packets, Bytes uint64 // delivered
	Datagrams      uint64 // of these bytes, those of UDP
	QueueDrops     uint64 // found the queue full
	Lost           uint64 // by random loss
	Filtered       uint64 // by Silence or DropMPTCPSyn
}

// newLink joins two interfaces, near being the one towards home; Up leads from
// near to far. Plug is the one that Down takes away. It must not be up yet.
func newLink(name string, near, far, plug *iface, shape Shape, seed uint64) (*Link, error) {
	l := &Link{Name: name, plug: plug, tap: tap{link: name}}
	for i, end := range []*iface{near, far} {
		f, err := openTUN(end.host, end.name)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("link %s: %w", name, err), l.close())
		}
		l.files[i] = f
	}
	var err error
	if l.up, err = newPipe(l.files[0], l.files[1], shape.Up, &l.filter, &l.tap, 2*seed); err != nil {
		return nil, errors.Join(fmt.Errorf("link %s: %w", name, err), l.close())
	}
	if l.down, err = newPipe(l.files[1], l.files[0], shape.Down, &l.filter, &l.tap, 2*seed+1); err != nil {
		return nil, errors.Join(fmt.Errorf("link %s: %w", name, err), l.close())
	}
	l.up.up = true
	for _, p := range []*pipe{l.up, l.down} {
		l.loops.Go(p.read)
		l.loops.Go(p.write)
	}
	for _, end := range []*iface{near, far} {
		if err := end.up(); err != nil {
			return nil, errors.Join(err, l.close())
		}
	}
	return l, nil
}

// Set changes the shape. Packets on their way keep the times they have.
func (l *Link) Set(s Shape) {
	l.up.set(s.Up)
	l.down.set(s.Down)
}

// Shape returns the shape in force.
func (l *Link) Shape() Shape {
	return Shape{Up: l.up.get(), Down: l.down.get()}
}

// Down pulls the cable: the interface at home (on the server's leg: at the
// server) goes down, the kernel drops its routes and the DHCP client its
// addresses. Programs there see it as netlink events.
func (l *Link) Down() error {
	if err := l.plug.down(); err != nil {
		return fmt.Errorf("pull link %s: %w", l.Name, err)
	}
	return nil
}

// Up puts the cable back: the interface comes up with the addresses and routes
// that it had, as after DHCP.
func (l *Link) Up() error {
	if err := l.plug.up(); err != nil {
		return fmt.Errorf("put back link %s: %w", l.Name, err)
	}
	return nil
}

// Silence makes the link lose everything both ways, packets in flight included,
// without any event on its hosts: a dead line behind a living modem.
func (l *Link) Silence(on bool) { l.filter.silent.Store(on) }

// StripMPTCP makes the link a middlebox that overwrites every MPTCP option with
// NOPs: new connections over it fall back to TCP.
func (l *Link) StripMPTCP(on bool) { l.filter.strip.Store(on) }

// DropMPTCPSyn makes the link a firewall that drops SYNs with an MPTCP option.
func (l *Link) DropMPTCPSyn(on bool) { l.filter.dropSYN.Store(on) }

// DropUDP makes the link one that lets no datagrams pass, both ways.
func (l *Link) DropUDP(on bool) { l.filter.dropUDP.Store(on) }

// OnlyPort restricts StripMPTCP and DropMPTCPSyn to one port at either end; 0 is all.
func (l *Link) OnlyPort(port uint16) { l.filter.port.Store(uint32(port)) }

// Counters returns the counters of both directions.
func (l *Link) Counters() (up, down Counters) {
	return l.up.count.get(), l.down.count.get()
}

// Addr returns the link's address at home, IPv4 or else IPv6, or the zero Addr
// where it has none of that family.
func (l *Link) Addr(ipv6 bool) netip.Addr {
	for _, a := range l.plug.addrs {
		if a.Addr().Is6() == ipv6 {
			return a.Addr()
		}
	}
	return netip.Addr{}
}

// close closes the devices, which thereby vanish, and waits for the loops.
func (l *Link) close() error {
	var errs []error
	for _, p := range []*pipe{l.up, l.down} {
		if p != nil {
			errs = append(errs, p.close())
		}
	}
	for _, f := range l.files {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	l.loops.Wait()
	return errors.Join(errs...)
}
