//go:build !unix

package splice

import "net"

// watchGone is for systems whose sockets tell of it.
func watchGone(*net.TCPConn, func()) {}
