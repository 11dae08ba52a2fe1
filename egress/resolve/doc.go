// Package resolve finds the addresses of names for those who are not users of
// this host: a relay's accounts.
//
// It asks the name servers of /etc/resolv.conf itself, since the standard library
// does not tell for how long an answer may be remembered. So a name in use costs
// no round trip, one that changes is followed in time, and answers of 1 to 16
// addresses take a bounded place. Search lists and options of resolv.conf are not
// applied. /etc/hosts is honoured; other sources of names (nsswitch.conf) are not.
//
// Answers are taken only if they repeat the id, the port, the question and its
// spelling, all random. There is neither DNSSEC nor encryption: name servers are
// trusted, as by any stub resolver.
package resolve
