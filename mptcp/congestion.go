package mptcp

import "net"

// wantedCongestion is what connections over several links use. BBR keeps a link
// full that loses packets, as radio does; CUBIC takes each loss for a sign to slow
// down. See docs/decisions.
const wantedCongestion = "bbr"

// A CongestionError says why connections get another congestion control than BBR.
type CongestionError struct {
	InUse string // what they get: "cubic"
	Err   error  // os.ErrNotExist or os.ErrPermission inside
	hint  string
}

// Error says both.
func (e *CongestionError) Error() string {
	return "connections use " + e.InUse + ", which is slow over links that lose packets: " + e.Err.Error()
}

// Unwrap returns the kernel's error.
func (e *CongestionError) Unwrap() error { return e.Err }

// Hint returns what a person may do about it, a command; "" if nothing.
func (e *CongestionError) Hint() string { return e.hint }

// NewCongestion returns the congestion control that [Listen] with multipath and a
// [Dialer] with Multipath give new connections here and now: BBR where the kernel
// has it and lets this process use it, else the host's default, with a
// *[CongestionError] that says why. With another error the name is "".
func NewCongestion() (name string, err error) { return newCongestion() }

// SetCongestion chooses the congestion control of a connection and of all its
// subflows, present and future: "bbr", "cubic". The error is os.ErrNotExist if
// the kernel does not have it, os.ErrPermission if it keeps it for root
// (net.ipv4.tcp_allowed_congestion_control).
func SetCongestion(c *net.TCPConn, name string) error { return setCongestion(c, name) }

// RenewCongestion makes congestion control forget what it believes of the paths,
// and keep the windows, where that is for the better: BBR takes each moment of
// silence on a Multipath TCP connection for the rate of the path, and after 10 s of
// it sends next to nothing for 200 ms, because the kernel does not tell it that
// there was nothing to send (Linux 6.18). Others are left alone.
func RenewCongestion(c *net.TCPConn) error { return renewCongestion(c) }

// Congestion returns the name of the connection's congestion control.
func Congestion(c *net.TCPConn) (string, error) { return congestion(c) }
