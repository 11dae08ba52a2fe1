// Package measure is the instrument: it times what a proxy, or none, costs a
// client. It works with any SOCKS5 server and HTTP proxy, not only ours, and needs
// a web server with plain HTTP at the far end.
//
// All times are the client's. Setup time is that from the client's SYN to the
// first byte of the answer; names that the client has to resolve itself are
// resolved before the clock starts, names that a proxy resolves are in it.
package measure
