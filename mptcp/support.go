package mptcp

// An UnsupportedError says why this host gives no MPTCP sockets now.
type UnsupportedError struct {
	Reason string // in words: "MPTCP is switched off"
	Err    error  // of the kernel, or nil where there is no such kernel
	hint   string
}

// Error returns the reason.
func (e *UnsupportedError) Error() string {
	if e.Err == nil {
		return e.Reason
	}
	return e.Reason + ": " + e.Err.Error()
}

// Unwrap returns the kernel's error.
func (e *UnsupportedError) Unwrap() error { return e.Err }

// Hint returns what a person may do about it, often a command; "" if nothing.
func (e *UnsupportedError) Hint() string { return e.hint }

// Supported returns nil if the kernel gives MPTCP sockets in this network
// namespace now, else an *[UnsupportedError] with the reason and a hint.
// The answer can change: net.mptcp.enabled is a switch. It says nothing about a
// peer or a path.
func Supported() error { return supported() }
