package lab

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// Ready returns nil if this machine can run the lab and Multipath TCP in it, or
// else a [*MissingError] with a hint.
func Ready() error {
	if os.Geteuid() != 0 {
		return &MissingError{"it makes network namespaces, which needs root", nil, "run it with sudo"}
	}
	f, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0)
	if err != nil {
		return &MissingError{"no TUN devices", err, "modprobe tun; in a container, pass --device /dev/net/tun"}
	}
	f.Close()
	ns, err := newNamespace(nil)
	if err != nil {
		return &MissingError{"no network namespace", err, "in a container, add the capabilities SYS_ADMIN and NET_ADMIN, or use --privileged"}
	}
	defer ns.close()
	return ns.do(func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, unix.IPPROTO_MPTCP)
		switch {
		case err == nil:
			return unix.Close(fd)
		case errors.Is(err, unix.ENOPROTOOPT):
			return &MissingError{"Multipath TCP is switched off in new namespaces", err, "boot without a policy that sets net.mptcp.enabled=0"}
		}
		return &MissingError{"the kernel has no Multipath TCP", err, "use a kernel with CONFIG_MPTCP=y, 6.5 or later"}
	})
}
