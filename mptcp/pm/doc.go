// Package pm is a client of the kernel's MPTCP path manager: the generic netlink
// family mptcp_pm (linux/mptcp_pm.h, Documentation/netlink/specs/mptcp_pm.yaml).
//
// The path manager keeps, per network namespace, a list of endpoints (addresses
// from which connections may open subflows, or which they announce to the peer)
// and two limits. It acts on every MPTCP connection of the namespace: adding an
// endpoint joins a subflow to connections that are already open, deleting one
// closes its subflows. [Client] changes that state, [Events] tells what became
// of it.
//
// Reading endpoints and limits needs no privilege. Every change, and
// [Subscribe], needs CAP_NET_ADMIN in the namespace; without it the error is
// os.ErrPermission. Elsewhere than on Linux everything fails with
// [ErrUnsupported].
package pm
