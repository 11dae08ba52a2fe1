package proxy

import (
	"context"
	"errors"
	"net"
	"os"
	"syscall"
)

// A Reason says why a request was refused. It is the one list of outcomes:
// each protocol maps it to its own codes in one table.
type Reason uint8

// The reasons. Gateway and relay tell each other these numbers, so new ones come
// last. The zero Reason is the general failure, so that a forgotten
// reason never reads as success.
const (
	Failed               Reason = iota // anything that has no better name here
	NotAllowed                         // the policy forbids this destination
	NetworkUnreachable                 // no route to the destination's network
	HostUnreachable                    // the host does not answer on its network
	NameNotFound                       // the host name does not exist or has no address
	Refused                            // the destination answered with a reset
	TimedOut                           // no answer in time
	CommandUnsupported                 // not CONNECT
	AddressUnsupported                 // address type unknown, or a family this host does not have
	AuthenticationFailed               // unknown account or wrong secret
	Overloaded                         // a limit on connections was reached
	RelayUnreachable                   // the gateway has no living path to its relay
	Duplicate                          // asked for on another connection, between gateway and relay only
	numReasons
)

var reasonText = [numReasons]string{
	Failed:               "failed",
	NotAllowed:           "not allowed",
	NetworkUnreachable:   "network unreachable",
	HostUnreachable:      "host unreachable",
	NameNotFound:         "name not found",
	Refused:              "connection refused",
	TimedOut:             "timed out",
	CommandUnsupported:   "command not supported",
	AddressUnsupported:   "address not supported",
	AuthenticationFailed: "authentication failed",
	Overloaded:           "too many connections",
	RelayUnreachable:     "relay unreachable",
	Duplicate:            "asked for twice",
}

// String returns the reason in words, in lower case.
func (r Reason) String() string {
	if r < numReasons {
		return reasonText[r]
	}
	return "unknown reason"
}

// Reasons returns all reasons, for tests that walk a protocol's table.
func Reasons() []Reason {
	all := make([]Reason, numReasons)
	for i := range all {
		all[i] = Reason(i)
	}
	return all
}

// An Error is an outcome with its cause.
type Error struct {
	Reason Reason
	Err    error // what happened, may be nil
}

// Error returns the cause if there is one, else the reason in words.
func (e *Error) Error() string {
	if e.Err == nil {
		return e.Reason.String()
	}
	return e.Err.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// ReasonOf finds the reason in an error: an *Error in its chain, else what the
// operating system or the resolver said.
func ReasonOf(err error) Reason {
	var own *Error
	var dns *net.DNSError
	var timeout net.Error
	switch {
	case errors.As(err, &own):
		return own.Reason
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ECONNRESET):
		return Refused
	case errors.Is(err, syscall.ENETUNREACH):
		return NetworkUnreachable
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.EHOSTDOWN):
		return HostUnreachable
	case errors.Is(err, syscall.EAFNOSUPPORT), errors.Is(err, syscall.EADDRNOTAVAIL):
		return AddressUnsupported
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE), errors.Is(err, syscall.ENOBUFS):
		return Overloaded
	case errors.As(err, &dns) && dns.IsNotFound:
		return NameNotFound
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, syscall.ETIMEDOUT),
		errors.As(err, &timeout) && timeout.Timeout():
		return TimedOut
	}
	return Failed
}

// Passing reports whether an error of accept is a lack that passes: descriptors,
// memory, or a client that left early. A listener lives on after it.
func Passing(err error) bool {
	for _, e := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED, syscall.EINTR} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
