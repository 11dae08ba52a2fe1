//go:build !linux

package egress

import (
	"context"
	"net/netip"
)

// fastDial returns nil: there is no TCP Fast Open here.
func fastDial() func(ctx context.Context, to netip.AddrPort, early []byte) fast { return nil }
