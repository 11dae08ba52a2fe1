// Package proxy holds the words that both ends of Tributary share, and the one
// loop that both run.
//
// An inbound turns the first bytes of a client into a [Request]. A [Dialer]
// opens the other side, with the client's early data as an argument, so that a
// dialer may put those bytes into its first flight. [Session] joins the two.
//
// The gateway's dialer hands the request to the relay; the relay's dialer is
// its egress. Neither knows the other's protocol, and no protocol knows
// another's codes: an outcome travels as a [Reason], which each protocol maps
// to its own.
package proxy
