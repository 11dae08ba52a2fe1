// Package link keeps the kernel in step with the access links of this host.
//
// A link is an interface that leads to the Internet: one that was named, or
// one that has a default route. For each the kernel needs four things before
// Multipath TCP can use it beside the others:
//
//	7400: from 192.168.1.2 lookup main suppress_prefixlength 0   local networks as ever
//	7401: from 192.168.1.2 lookup 7403                           the rest by this link
//	default via 192.168.1.1 dev eth1 table 7403                  its own default route
//	endpoint 192.168.1.2 dev eth1 subflow                        what MPTCP may join from
//
// A link that loses its carrier, address or route loses its endpoint at once: its
// subflows close and their traffic moves to the other links. When it comes
// back, open connections join it again. Rules and routes stay while the
// interface is switched on. What comes from no link's address, and so all
// other traffic of the host, goes where the main table sends it.
//
// An observation of the kernel becomes a plan, a pure function; the plan's
// difference from what is there becomes steps; the steps are applied, and
// everything is taken back when the [Manager] closes. A journal in the state
// directory lets the next start take back what a killed process left.
//
// Routes and rules of ours carry the routing protocol number [Protocol].
// Endpoints carry no owner, so the journal names them. Nothing that others made
// is changed: an address that already is somebody's endpoint is left alone, and
// limits, sysctls and endpoints that somebody changed after us stay as they are.
package link
