// Package load finds out how many connections a second a SOCKS5 server can open:
// it is its clients and its final server at once, in one thread that costs the
// machine less than the server under test does.
//
// Each connection goes step by step through RFC 1928 with a password (RFC 1929)
// and carries nothing: the client hangs up as soon as it is told that its final
// server is reached.
//
//	client          server under test        final server
//	  │ ──── SYN ────────▶ │                       │
//	  │ ◀─── SYN ACK ───── │                       │
//	  │ ◀─ two answers ──▶ │                       │
//	  │ ──── request ────▶ │ ───── SYN ──────────▶ │
//	  │                    │ ◀──── SYN ACK ─────── │
//	  │ ◀─── success ───── │                       │   counted
//	  │ ──── FIN ────────▶ │ ───── FIN ──────────▶ │   the next one begins
//	  │ ◀─── FIN ───────── │ ◀──── FIN ─────────── │
//
// It is the clients that hang up, so their ports, and the server's own towards the
// final server, are in TIME-WAIT for a minute. A long run needs
// net.ipv4.tcp_tw_reuse and a wide net.ipv4.ip_local_port_range on both hosts.
package load
