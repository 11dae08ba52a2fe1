package lab

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Networks behind the final server's leg, for destinations that nobody has met
// before. All of them end on the host "server", P away from the relay.
const (
	farOwn       = 201 // 11.201.0.0/16: every address is the server's own
	farNoHost    = 202 // 11.202.0.0/16: answered with ICMP host unreachable
	farNoNetwork = 203 // 11.203.0.0/16: answered with ICMP network unreachable
)

// farAddr is the address of a number in one of those networks.
func farAddr(net, i int) netip.Addr {
	return netip.AddrFrom4([4]byte{11, byte(net), byte(i / 250), byte(i%250 + 1)})
}

// farV6 is an address of a family that the lab's relay does not have.
func farV6(i int) string { return fmt.Sprintf("2d00:c9::%x", i+1) }

func farNet(net int) netip.Prefix { return netip.PrefixFrom(farAddr(net, 0), 16).Masked() }

// makeFar leads those networks to the server, which becomes a router for that, and
// opens the final server's services on the first addresses of its own.
func (n *Network) makeFar(served int) error {
	server, inet := n.hosts["server"], n.hosts["net"]
	if err := server.Sysctl("net.ipv4.ip_forward", "1"); err != nil {
		return err
	}
	nl, leg, err := (&iface{host: inet, name: "server"}).find()
	if err != nil {
		return err
	}
	for _, number := range []int{farOwn, farNoHost, farNoNetwork} {
		if err := nl.RouteAdd(&netlink.Route{LinkIndex: leg.Attrs().Index, Dst: ipNet(farNet(number))}); err != nil {
			return fmt.Errorf("lead %s to the server: %w", farNet(number), err)
		}
	}
	nl, lo, err := (&iface{host: server, name: "lo"}).find()
	if err != nil {
		return err
	}
	own := netlink.Route{LinkIndex: lo.Attrs().Index, Dst: ipNet(farNet(farOwn)), Type: unix.RTN_LOCAL, Table: unix.RT_TABLE_LOCAL, Scope: unix.RT_SCOPE_HOST}
	if err := nl.RouteAdd(&own); err != nil {
		return fmt.Errorf("give %s to the server: %w", own.Dst, err)
	}
	for i := range served {
		if err := n.server.listen(server, farAddr(farOwn, i)); err != nil {
			return err
		}
	}
	return n.server.refuseFar(server)
}

// refuseFar answers every packet to the two networks that are not there. The
// kernel's own dead ends tell each asker so only once a second.
func (s *Server) refuseFar(h *Host) error {
	tun, err := openTUN(h, "far")
	if err != nil {
		return err
	}
	s.closers = append(s.closers, tun)
	s.loops.Go(func() {
		buf := make([]byte, mtu)
		for {
			n, err := tun.Read(buf)
			if err != nil {
				return
			}
			if reply := unreachable(buf[:n]); reply != nil {
				tun.Write(reply)
			}
		}
	})
	return (&iface{host: h, name: "far", routes: []route{{to: farNet(farNoHost)}, {to: farNet(farNoNetwork)}}}).up()
}

// Fixed by RFC 791 and RFC 792.
const (
	protocolICMP = 1
	icmpDead     = 3 // type: destination unreachable
	icmpNoNet    = 0 // codes
	icmpNoHost   = 1
)

// unreachable returns the ICMP answer to an IPv4 packet for one of the networks
// that are not there, from their router; nil for anything else.
func unreachable(b []byte) []byte {
	if len(b) < 28 || b[0]>>4 != 4 || b[9] == protocolICMP {
		return nil
	}
	code := byte(icmpNoHost)
	if b[17] == farNoNetwork {
		code = icmpNoNet
	}
	quoted := b[:min(len(b), int(b[0]&15)*4+8)]
	router := farAddr(int(b[17]), 249*250).As4()
	p := make([]byte, 28, 28+len(quoted))
	p[0], p[8], p[9] = 0x45, 64, protocolICMP
	binary.BigEndian.PutUint16(p[2:], uint16(28+len(quoted)))
	copy(p[12:], router[:])
	copy(p[16:], b[12:16])
	p[20], p[21] = icmpDead, code
	p = append(p, quoted...)
	binary.BigEndian.PutUint16(p[10:], rfc1071(p[:20]))
	binary.BigEndian.PutUint16(p[22:], rfc1071(p[20:]))
	return p
}

// rfc1071 is the checksum of RFC 1071.
func rfc1071(b []byte) uint16 {
	sum := uint32(0)
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(b[i])<<8 | uint32(b[i+1])
	}
	if len(b)%2 == 1 {
		sum += uint32(b[len(b)-1]) << 8
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
