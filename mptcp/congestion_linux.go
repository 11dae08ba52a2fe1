package mptcp

import (
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// chooseCongestion gives a socket the wanted congestion control if that is to be
// had. What a listener has, the connections that it accepts have too, and their
// subflows.
func chooseCongestion(fd int) error {
	return unix.SetsockoptString(fd, unix.SOL_TCP, unix.TCP_CONGESTION, wantedCongestion)
}

func newCongestion() (string, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, unix.IPPROTO_MPTCP)
	if err != nil {
		fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
	}
	if err != nil {
		return "", os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	refused := chooseCongestion(fd)
	name, err := unix.GetsockoptString(fd, unix.SOL_TCP, unix.TCP_CONGESTION)
	if err != nil {
		return "", fmt.Errorf("read congestion control: %w", err)
	}
	if refused == nil || name == wantedCongestion {
		return name, nil
	}
	e := &CongestionError{InUse: name, Err: congestionError(wantedCongestion, refused)}
	switch {
	case errors.Is(refused, os.ErrNotExist):
		e.hint = "modprobe tcp_" + wantedCongestion
	case errors.Is(refused, os.ErrPermission):
		e.hint = `sysctl -w net.ipv4.tcp_allowed_congestion_control="reno cubic ` + wantedCongestion + `"`
	}
	return name, e
}

func congestionError(name string, err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("congestion control %q is not in this kernel: %w", name, err)
	}
	return fmt.Errorf("set congestion control %q: %w", name, err)
}

func setCongestion(c *net.TCPConn, name string) error {
	err := with(c, func(fd int) error {
		return unix.SetsockoptString(fd, unix.SOL_TCP, unix.TCP_CONGESTION, name)
	})
	if err != nil {
		return congestionError(name, err)
	}
	return nil
}

// renewCongestion goes by way of Reno, which every kernel has and everybody may use:
// to choose what is chosen already does nothing.
func renewCongestion(c *net.TCPConn) error {
	name, err := congestion(c)
	if err != nil || name != "bbr" {
		return err
	}
	if err := setCongestion(c, "reno"); err != nil {
		return err
	}
	return setCongestion(c, name)
}

func congestion(c *net.TCPConn) (name string, err error) {
	err = with(c, func(fd int) error {
		name, err = unix.GetsockoptString(fd, unix.SOL_TCP, unix.TCP_CONGESTION)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("read congestion control: %w", err)
	}
	return name, nil
}
