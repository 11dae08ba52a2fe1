package mptcp

import (
	"errors"

	"golang.org/x/sys/unix"
)

func supported() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, unix.IPPROTO_MPTCP)
	if err == nil {
		return unix.Close(fd)
	}
	e := &UnsupportedError{Reason: "kernel refuses MPTCP sockets", Err: err}
	switch {
	case errors.Is(err, unix.ENOPROTOOPT):
		e.Reason, e.hint = "MPTCP is switched off", "sysctl -w net.mptcp.enabled=1"
	case errors.Is(err, unix.EPROTONOSUPPORT):
		e.Reason, e.hint = "kernel built without MPTCP", "use a kernel with CONFIG_MPTCP=y"
	case errors.Is(err, unix.EINVAL):
		e.Reason, e.hint = "kernel older than MPTCP", "use Linux 5.16 or later; 6.5 or later is better"
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		e.hint = "let the sandbox or security policy allow socket(2) with protocol 262 (IPPROTO_MPTCP)"
	}
	return e
}
