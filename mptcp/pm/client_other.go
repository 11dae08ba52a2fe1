//go:build !linux

package pm

import (
	"context"
	"fmt"
	"net/netip"
	"runtime"
)

type client struct{}

func errHere() error { return fmt.Errorf("%w: %s", ErrUnsupported, runtime.GOOS) }

func newClient() (*client, error)                { return nil, errHere() }
func (*client) close() error                     { return errHere() }
func (*client) endpoints() ([]Endpoint, error)   { return nil, errHere() }
func (*client) add(Endpoint) error               { return errHere() }
func (*client) delete(uint8) error               { return errHere() }
func (*client) removeInitial(netip.Addr) error   { return errHere() }
func (*client) setFlags(netip.Addr, Flags) error { return errHere() }
func (*client) limits() (Limits, error)          { return Limits{}, errHere() }
func (*client) setLimits(Limits) error           { return errHere() }
func (*client) probeLaminar() (bool, error)      { return false, errHere() }

type events struct{}

func subscribe() (*events, error)                   { return nil, errHere() }
func (*events) next(context.Context) (Event, error) { return Event{}, errHere() }
func (*events) close() error                        { return errHere() }
