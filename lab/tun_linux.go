package lab

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// tunQueue is the device's own queue, in packets. It must hold what a sender
// bursts before the emulator reads it, as only the emulator may drop.
const tunQueue = 10000

// openTUN creates a TUN device on a host. The device lives until the file is
// closed. Each Read and Write moves one IP packet.
func openTUN(h *Host, name string) (*os.File, error) {
	var f *os.File
	err := h.Do(func() error {
		fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("open /dev/net/tun: %w", err)
		}
		req, err := unix.NewIfreq(name)
		if err == nil {
			req.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
			err = unix.IoctlIfreq(fd, unix.TUNSETIFF, req)
		}
		if err != nil {
			unix.Close(fd)
			return fmt.Errorf("create TUN device %s: %w", name, err)
		}
		// A descriptor in non-blocking mode goes to the runtime's poller, where it must
		// not come before TUNSETIFF: until then epoll reports an error.
		f = os.NewFile(uintptr(fd), name)
		return nil
	})
	if err != nil {
		return nil, err
	}
	dev, err := h.ns.netlink.LinkByName(name)
	if err == nil {
		err = h.ns.netlink.LinkSetTxQLen(dev, tunQueue)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("set the queue of %s: %w", name, err)
	}
	return f, nil
}
