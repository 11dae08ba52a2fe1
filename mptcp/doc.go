// Package mptcp opens TCP sockets that the kernel may spread over several paths
// (Multipath TCP, RFC 8684), and reads from the kernel what became of them.
//
// Connections are plain *net.TCPConn, so that the standard library's splice
// works on them. Whether one is multipath is a question about now, not about
// what was asked for: a peer or a middlebox without MPTCP turns a connection
// into plain TCP for the rest of its life, which this package calls fallback.
// [IsMultipath] tells; [FullInfo] describes both kinds in the same words.
//
// It needs Linux 5.16 to tell fallback, and Linux 6.5 for a snapshot of all
// subflows in one call; 5.16 to 6.4 take two calls for that. On other systems
// [Dialer] and [Listen] give plain TCP and [Supported] says so.
//
// MPTCP sockets lack some options of TCP, even on Linux 6.18: no
// TCP_USER_TIMEOUT, no TCP_QUICKACK, no SO_ORIGINAL_DST, no kTLS. A connection
// whose paths are all dead is found by keepalive or by the application.
//
// A peer's end is harder to see than with TCP. Where the peer has closed its
// socket without a reset, its kernel goes on to acknowledge and drop what we
// write, for a minute (61 s measured on Linux 6.18), where
// TCP answers with a reset at once: only a read tells, by io.EOF. So a side that
// gives up should reset, by SetLinger(0) and Close; MPTCP carries that as
// MP_FASTCLOSE (RFC 8684 section 3.5), and the other side reads ECONNRESET. If it
// writes first, the write takes the error and the read finds io.EOF.
//
// TCP Fast Open is not used. On MPTCP listeners of Linux 6.18 it has two faults,
// an answer that is never sent and downloads that collapse; package mptcp/fastopen
// finds out whether this kernel has them.
package mptcp
