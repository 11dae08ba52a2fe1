//go:build !linux

package splice

import (
	"errors"
	"net"
	"sync/atomic"
)

// kernelCarry is Linux's; elsewhere a buffer carries the bytes.
func kernelCarry(_, _ *net.TCPConn, _ *atomic.Int64) (bool, error) { return false, nil }

type patientTCP struct{ patient }

func newPatientTCP(*net.TCPConn) (*patientTCP, error) { return nil, errors.ErrUnsupported }
