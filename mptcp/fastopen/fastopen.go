// Package fastopen finds out whether TCP Fast Open (RFC 7413) may be on at MPTCP
// listeners of this kernel.
//
// On Linux 6.18 it may not: an answer that a server writes before the handshake
// has ended is never sent, and downloads over several subflows collapse. Both
// faults are the listener's; data in the SYN of plain TCP has neither.
package fastopen

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// A Report is what [Check] found out about TCP Fast Open
// on MPTCP sockets of this kernel. The zero report is of a host that could
// not be tested.
type Report struct {
	// Tested is false where rights or devices were missing; Why says which.
	Tested bool
	Why    string

	// EarlyWriteLost: what a server writes before the client's third packet of the
	// handshake arrives is not sent then, nor until it writes again. The client
	// waits for ever.
	EarlyWriteLost bool

	// DownloadCollapses: after data in the SYN was accepted, a server sends beyond
	// what the client takes, as soon as there are two subflows; most of it is
	// dropped and sent again.
	DownloadCollapses bool

	Dropped          int           // segments beyond the window during that download
	Download, Normal time.Duration // of the same bytes with and without data in the SYN; 0.7 s at most
	Took             time.Duration // by the whole test
}

// Safe reports whether TCP Fast Open may be on at an MPTCP listener: it was tested
// and has neither fault.
func (r Report) Safe() bool { return r.Tested && !r.EarlyWriteLost && !r.DownloadCollapses }

// String says it in one line.
func (r Report) String() string {
	const what = "TCP Fast Open on MPTCP listeners"
	switch {
	case !r.Tested:
		return what + " is not tested and stays off: " + r.Why
	case r.Safe():
		return what + " is safe on this kernel"
	}
	var faults []string
	if r.EarlyWriteLost {
		faults = append(faults, "an answer written before the handshake ends is never sent")
	}
	if r.DownloadCollapses {
		faults = append(faults, fmt.Sprintf("a download over two subflows overruns the client (%d segments beyond the window; %d ms, usually %d)",
			r.Dropped, r.Download.Milliseconds(), r.Normal.Milliseconds()))
	}
	return what + " stays off, this kernel has faults: " + strings.Join(faults, "; ")
}

// Accepted reports whether servers of this network namespace may accept TCP Fast
// Open at all: net.ipv4.tcp_fastopen has the bit 2, by default it has not. Where
// it is false there is nothing that [Check] could tell.
func Accepted() bool { return accepted() }

// Check tests TCP Fast Open on MPTCP sockets of this kernel, both of whose
// faults of Linux 6.18 break listeners and not clients. It takes 1.5 to 2.5 s and
// 0.2 s of processor time; do it once, beside the start of a relay.
//
// The host is not touched: sockets, addresses and a path-manager endpoint are in a
// network namespace that ends with the test, and its two paths of 10 ms each way
// are TUN devices there. That takes CAP_SYS_ADMIN, for the namespace, and
// /dev/net/tun. Where they are missing the report says that nothing was tested,
// which is no error. An error is what went wrong otherwise, or ctx's.
func Check(ctx context.Context) (Report, error) {
	begun := time.Now()
	r, err := check(ctx)
	r.Took = time.Since(begun)
	if err != nil {
		return Report{Why: err.Error()}, fmt.Errorf("test TCP Fast Open: %w", err)
	}
	return r, nil
}
