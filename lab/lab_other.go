//go:build !linux

package lab

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"time"
)

// A Network is a set of namespaces and links; see the Linux documentation. It
// cannot be made on this system.
type Network struct{}

// New fails with [ErrUnsupported].
func New(context.Context, Config) (*Network, error) { return nil, unsupported() }

// Close does nothing: there is no Network to close.
func (*Network) Close() error { return nil }

// Ready fails with [ErrUnsupported].
func Ready() error {
	return &MissingError{"it needs Linux", unsupported(), "run it on Linux, in a virtual machine for instance"}
}

// RunDemo fails with [ErrUnsupported].
func RunDemo(context.Context, Options) (*Demo, error) { return nil, unsupported() }

// RunShell fails with [ErrUnsupported].
func RunShell(context.Context, Options, io.Writer) error { return unsupported() }

// Here knows nothing of this machine.
func Here() Environment { return Environment{} }

// Scenarios returns none.
func Scenarios() []Scenario { return nil }

// ByName finds none.
func ByName(string) (Scenario, bool) { return Scenario{}, false }

// Run reports [ErrUnsupported].
func (s Scenario) Run(context.Context, Options) *Report {
	r := &Report{Scenario: s.Name, About: s.About}
	r.finish(time.Now(), unsupported())
	return r
}

type trial struct{}

func unsupported() error { return fmt.Errorf("%w, this is %s", ErrUnsupported, runtime.GOOS) }
