package lab

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// A Dialer opens connections from a host. The zero values of all fields but
// Host are what an ordinary program has.
type Dialer struct {
	Host *Host
	// Device binds to an interface by name, to use one access link alone. Routing
	// then takes the best route by that interface.
	Device string
	// Local binds to an address.
	Local netip.Addr
	// MPTCP asks for Multipath TCP, otherwise it is plain TCP.
	MPTCP bool
}

// DialContext dials as [net.Dialer.DialContext] does. Names are those of the lab
// and cost no packet: a measured time holds no DNS round trip. The first address
// of the right family is tried, no other.
func (d Dialer) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	addr, err := d.Host.network.resolve(network, addr)
	if err != nil {
		return nil, err
	}
	nd := net.Dialer{}
	nd.SetMultipathTCP(d.MPTCP)
	if d.Local.IsValid() {
		if nd.LocalAddr = net.Addr(&net.TCPAddr{IP: d.Local.AsSlice()}); strings.HasPrefix(network, "udp") {
			nd.LocalAddr = &net.UDPAddr{IP: d.Local.AsSlice()}
		}
	}
	if d.Device != "" {
		nd.Control = func(_, _ string, c syscall.RawConn) error { return bindToDevice(c, d.Device) }
	}
	var conn net.Conn
	// The address being a literal, the net package opens the socket in this very
	// goroutine and not in one outside the namespace.
	err = d.Host.Do(func() (err error) {
		conn, err = nd.DialContext(ctx, network, addr)
		return err
	})
	return conn, err
}

// DialContext dials from the host with TCP or UDP; see [Dialer].
func (h *Host) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	return Dialer{Host: h}.DialContext(ctx, network, addr)
}

// Listen listens on the host as [net.Listen] does, for plain TCP.
func (h *Host) Listen(ctx context.Context, network, addr string) (net.Listener, error) {
	return h.listen(ctx, network, addr, false)
}

// ListenMPTCP listens on the host for Multipath TCP and TCP.
func (h *Host) ListenMPTCP(ctx context.Context, network, addr string) (net.Listener, error) {
	return h.listen(ctx, network, addr, true)
}

func (h *Host) listen(ctx context.Context, network, addr string, mptcp bool) (l net.Listener, err error) {
	var lc net.ListenConfig
	lc.SetMultipathTCP(mptcp)
	err = h.Do(func() (err error) {
		l, err = lc.Listen(ctx, network, addr)
		return err
	})
	return l, err
}

// ListenPacket opens a UDP port on the host as [net.ListenPacket] does.
func (h *Host) ListenPacket(ctx context.Context, network, addr string) (c net.PacketConn, err error) {
	var lc net.ListenConfig
	err = h.Do(func() (err error) {
		c, err = lc.ListenPacket(ctx, network, addr)
		return err
	})
	return c, err
}

func bindToDevice(c syscall.RawConn, device string) error {
	var err error
	if cerr := c.Control(func(fd uintptr) { err = unix.BindToDevice(int(fd), device) }); cerr != nil {
		return cerr
	}
	if err != nil {
		return fmt.Errorf("bind to device %s: %w", device, err)
	}
	return nil
}

// resolve replaces a name of the lab in addr by its address.
func (n *Network) resolve(network, addr string) (string, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", fmt.Errorf("address %q: %w", addr, err)
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return addr, nil
	}
	if host == "localhost" {
		return net.JoinHostPort("127.0.0.1", port), nil
	}
	for _, a := range n.zone[strings.ToLower(strings.TrimSuffix(host, "."))] {
		if strings.HasSuffix(network, "4") && !a.Is4() || strings.HasSuffix(network, "6") && a.Is4() {
			continue
		}
		return net.JoinHostPort(a.String(), port), nil
	}
	return "", &net.DNSError{Err: "no such name in the lab", Name: host, IsNotFound: true}
}
