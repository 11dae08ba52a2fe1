// Package socks speaks SOCKS4, SOCKS4a and SOCKS5 (RFC 1928) with user/password
// authentication (RFC 1929), as a server and as a client, for CONNECT.
//
// The server side, [Server], takes a connection and returns a [proxy.Request].
// It never waits for a client that sent everything at once, and never loses a
// byte that came behind the request. The client side is a set of codecs: the
// Append functions build messages, which may be joined into one write, and the
// Read functions take exactly one message from a stream, so that the bytes behind
// it stay in the socket.
//
// BIND and UDP ASSOCIATE are answered with "command not supported". GSSAPI (RFC
// 1961), which RFC 1928 wants of a compliant implementation, is not implemented:
// it costs two or more round trips, and hardly any client has it.
package socks
