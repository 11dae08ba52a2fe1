// Package load finds out how many connections a second a SOCKS5 server can open:
// it is its clients and its final server at once, in one thread that costs the
// machine less than the server under test does.
//
// Each connection goes step by step through RFC 1928 with a password (RFC 1929)
// and carries nothing: the final server hangs up as soon as it is reached.
//
//	client          server under test        final server
//	  │ ──── SYN ────────▶ │                       │
//	  │ ◀─── SYN ACK ───── │                       │
//	  │ ◀─ three answers ▶ │ ───── SYN ──────────▶ │
//	  │ ◀─── success ───── │ ◀──── SYN ACK, FIN ── │   counted
//	  │ ◀─── FIN ───────── │                       │
//	  │ ──── FIN ────────▶ │ ───── FIN ──────────▶ │   the next one begins
package load
