package fastopen

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"tributary/mptcp/pm"
)

// A mirror is a network namespace whose own calls come back to it, over two paths
// with a delay. Each path is a TUN device whose packets return with source and
// destination swapped, which changes no checksum:
//
//	10.9.1.1:c ▶ 10.9.1.2:s ── tun0 ── 10 ms ──▶ 10.9.1.2:c ▶ 10.9.1.1:s
//	10.9.2.1:c ▶ 10.9.1.2:s ── tun1 ── 10 ms ──▶ 10.9.1.2:c ▶ 10.9.2.1:s
//
// So one namespace holds a client, which calls 10.9.1.2, and a server, which sees
// that same address call.
type mirror struct {
	tuns []*os.File
	wg   sync.WaitGroup
}

var mirrorFar = netip.AddrFrom4([4]byte{10, 9, 1, 2})

const (
	mirrorDelay = 10 * time.Millisecond // each way
	mirrorMTU   = 1500
	mirrorQueue = 8192 // packets; only what is sent at once in 10 ms need fit
)

// newMirror moves the calling thread into a new namespace for good. The second
// path is not used before steer.
func newMirror() (*mirror, error) {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return nil, notTested{fmt.Errorf("new network namespace: %w", err)}
	}
	for name, value := range map[string]string{
		"ipv4/tcp_fastopen":           "3",
		"ipv4/tcp_rmem":               "4096 131072 6291456", // the client's, which a real one has
		"ipv4/conf/all/rp_filter":     "0",
		"ipv4/conf/default/rp_filter": "0",
		"mptcp/enabled":               "1",
	} {
		if err := os.WriteFile("/proc/sys/net/"+name, []byte(value), 0); err != nil {
			return nil, notTested{err}
		}
	}
	m := &mirror{}
	for i := range 2 {
		if err := m.add(i); err != nil {
			m.close()
			return nil, err
		}
	}
	return m, nil
}

func (m *mirror) close() {
	for _, f := range m.tuns {
		f.Close()
	}
	m.wg.Wait()
}

// add makes a path.
func (m *mirror) add(i int) error {
	name := fmt.Sprintf("tun%d", i)
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return notTested{fmt.Errorf("open /dev/net/tun: %w", err)}
	}
	req, err := unix.NewIfreq(name)
	if err == nil {
		req.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, req)
	}
	if err != nil {
		unix.Close(fd)
		return notTested{fmt.Errorf("create a TUN device: %w", err)}
	}
	f := os.NewFile(uintptr(fd), name) // after TUNSETIFF, as the poller must not see it before
	m.tuns = append(m.tuns, f)
	dev, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("find %s: %w", name, err)
	}
	addr := &netlink.Addr{IPNet: &net.IPNet{IP: mirrorNear(i), Mask: net.CIDRMask(30, 32)}}
	if err := errors.Join(netlink.AddrAdd(dev, addr), netlink.LinkSetTxQLen(dev, mirrorQueue), netlink.LinkSetUp(dev)); err != nil {
		return fmt.Errorf("set up %s: %w", name, err)
	}
	m.reflect(f)
	return nil
}

func mirrorNear(i int) net.IP { return net.IPv4(10, 9, byte(1+i), 1).To4() }

// reflect returns packets until the device is closed.
func (m *mirror) reflect(f *os.File) {
	type packet struct {
		due  time.Time
		data []byte
	}
	queue := make(chan packet, mirrorQueue)
	m.wg.Go(func() {
		defer close(queue)
		for buf := make([]byte, mirrorMTU); ; {
			n, err := f.Read(buf)
			if err != nil {
				return
			}
			if n < 20 || buf[0]>>4 != 4 {
				continue
			}
			p := packet{time.Now().Add(mirrorDelay), append([]byte(nil), buf[:n]...)}
			copy(p.data[12:16], buf[16:20])
			copy(p.data[16:20], buf[12:16])
			select {
			case queue <- p:
			default: // lost, as on any path
			}
		}
	})
	m.wg.Go(func() {
		for p := range queue {
			time.Sleep(time.Until(p.due))
			f.Write(p.data)
		}
	})
}

// steer sends what has the second address over the second path, and asks the
// kernel's path manager for a subflow from there.
func (m *mirror) steer() error {
	const table = 100
	dev, err := netlink.LinkByName("tun1")
	if err != nil {
		return err
	}
	route := &netlink.Route{LinkIndex: dev.Attrs().Index, Table: table, Scope: netlink.SCOPE_LINK,
		Dst: &net.IPNet{IP: mirrorFar.AsSlice(), Mask: net.CIDRMask(32, 32)}}
	rule := netlink.NewRule()
	rule.Table, rule.Src = table, &net.IPNet{IP: mirrorNear(1), Mask: net.CIDRMask(32, 32)}
	if err := errors.Join(netlink.RouteAdd(route), netlink.RuleAdd(rule)); err != nil {
		return fmt.Errorf("set up routes: %w", err)
	}
	paths, err := pm.New()
	if err != nil {
		return err
	}
	near, _ := netip.AddrFromSlice(mirrorNear(1))
	err = paths.Add(pm.Endpoint{Addr: near, Flags: pm.Subflow, IfIndex: dev.Attrs().Index})
	return errors.Join(err, paths.Close())
}
