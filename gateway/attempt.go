package gateway

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"tributary/mptcp"
)

// An attempt is one way to begin a connection to the relay.
type attempt struct {
	from source
	to   netip.AddrPort
}

// attempts returns the ways to begin a connection, in the order in which to try them:
// first in the family that most links have, for the others join there; and last over
// links that MPTCP does not pass. If wary, all doubtful links come last.
func (u *upstream) attempts(addrs []netip.Addr, port uint16, wary bool) (all []attempt) {
	six := u.sixFirst != nil && u.sixFirst()
	for _, v6 := range []bool{six, !six} {
		sources := u.sources(v6)
		for _, a := range addrs {
			for _, s := range sources {
				if a.Is6() == v6 {
					all = append(all, attempt{s, netip.AddrPortFrom(a, port)})
				}
			}
		}
	}
	slices.SortStableFunc(all, func(a, b attempt) int {
		if wary {
			if c := u.doubts.compare(a.from, b.from); c != 0 {
				return c
			}
		}
		return after(a.from.apart, b.from.apart)
	})
	return all
}

// While no link has an address a request waits for one for so long, as when the provider
// of the only link that works gives another one, and looks for it so often.
const (
	addressTime = 2 * time.Second
	addressLook = 50 * time.Millisecond
)

// awaited returns the attempts, none only if there still are none after a while. Nobody
// waits for a connection for the pool.
func (u *upstream) awaited(ctx context.Context, addrs []netip.Addr, port uint16, wary bool) []attempt {
	for end := time.Now().Add(addressTime); ; {
		all := u.attempts(addrs, port, wary)
		if len(all) > 0 || !wary || time.Now().After(end) {
			return all
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(addressLook):
		}
	}
}

// after puts what is true behind what is not.
func after(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// expected returns from where the kernel is to have joined a connection, and what may
// come besides: a link without the relay's family joins at the address of its own that
// the relay announces, if it does.
func (u *upstream) expected(to netip.AddrPort, full mptcp.Full) (now, later []source) {
	v6 := to.Addr().Unmap().Is6()
	for _, s := range u.sources(v6) {
		if !s.apart {
			now = append(now, s)
		}
	}
	for _, s := range u.sources(!v6) {
		switch {
		case s.apart || slices.ContainsFunc(now, func(o source) bool { return o.link == s.link }):
		case full.Announced > 0:
			now = append(now, s)
		default:
			later = append(later, s)
		}
	}
	return now, later
}
