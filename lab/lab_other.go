//go:build !linux

package lab

import (
	"context"
	"fmt"
	"runtime"
)

// A Network is a set of namespaces and links; see the Linux documentation. It
// cannot be made on this system.
type Network struct{}

// New fails with [ErrUnsupported].
func New(context.Context, Config) (*Network, error) {
	return nil, fmt.Errorf("%w, this is %s", ErrUnsupported, runtime.GOOS)
}

// Close does nothing: there is no Network to close.
func (*Network) Close() error { return nil }
