// Package diag asks the kernel what MPTCP_FULL_INFO does not tell of a subflow: the
// flags that it has on either side, by sock_diag(7), as "ss -ti" does.
package diag

import "net/netip"

// Flags of a subflow, as MPTCP_SUBFLOW_FLAG_* of linux/mptcp.h.
type Flags uint32

// The flags that tell a caller something.
const (
	BackupRemote Flags = 1 << 4 // the peer sends over it only while no other path works
	BackupLocal  Flags = 1 << 5 // the peer was asked to; and so does this side
)

// Backup reports whether the kernel sends over the subflow only if no other works.
func (f Flags) Backup() bool { return f&(BackupRemote|BackupLocal) != 0 }

// A Pair names a subflow.
type Pair struct{ Local, Remote netip.AddrPort }

// Subflows returns the flags of all established subflows in this network namespace that
// lead to a port, by their addresses. Plain TCP has none. Kernels may tell only those
// who have CAP_NET_ADMIN, and nothing is found then. It takes some milliseconds for a
// thousand.
func Subflows(port uint16) (map[Pair]Flags, error) { return subflows(port) }

// End ends a subflow at once (SOCK_DESTROY), which tells the other end by a reset: what
// is on its way over it is sent again over the others. It needs CAP_NET_ADMIN, and a
// kernel with CONFIG_INET_DIAG_DESTROY.
func End(p Pair) error { return end(p) }
