package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
)

func TestReasonOf(t *testing.T) {
	op := func(err error) error {
		return &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", err)}
	}
	for _, c := range []struct {
		err  error
		want Reason
	}{
		{op(syscall.ECONNREFUSED), Refused},
		{op(syscall.ECONNRESET), Refused},
		{op(syscall.ENETUNREACH), NetworkUnreachable},
		{op(syscall.EHOSTUNREACH), HostUnreachable},
		{op(syscall.EHOSTDOWN), HostUnreachable},
		{op(syscall.EAFNOSUPPORT), AddressUnsupported},
		{op(syscall.EADDRNOTAVAIL), AddressUnsupported},
		{op(syscall.EMFILE), Overloaded},
		{op(syscall.ENFILE), Overloaded},
		{op(syscall.ENOBUFS), Overloaded},
		{op(syscall.ETIMEDOUT), TimedOut},
		{context.DeadlineExceeded, TimedOut},
		{os.ErrDeadlineExceeded, TimedOut},
		{&net.DNSError{IsNotFound: true}, NameNotFound},
		{&net.DNSError{IsTimeout: true}, TimedOut},
		{&net.DNSError{Err: "server misbehaving"}, Failed},
		{io.ErrUnexpectedEOF, Failed},
		{context.Canceled, Failed},
		{nil, Failed},
		{&Error{Reason: NotAllowed}, NotAllowed},
		// What somebody decided goes before what the system said.
		{&Error{Reason: RelayUnreachable, Err: op(syscall.ECONNREFUSED)}, RelayUnreachable},
		{&Error{Reason: Overloaded, Err: &Error{Reason: Refused}}, Overloaded},
	} {
		wrapped := c.err
		if c.err != nil {
			wrapped = fmt.Errorf("dial: %w", errors.Join(errors.New("another"), c.err))
		}
		for _, err := range []error{c.err, wrapped} {
			if got := ReasonOf(err); got != c.want {
				t.Errorf("%v is %v, want %v", err, got, c.want)
			}
		}
	}
}

func TestEachReasonHasAText(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range Reasons() {
		if s := r.String(); s == "" || s == "unknown reason" || seen[s] {
			t.Errorf("reason %d reads %q", r, s)
		} else {
			seen[s] = true
		}
	}
	if len(seen) != int(numReasons) || Reason(200).String() != "unknown reason" {
		t.Errorf("%d reasons, and reason 200 is %q", len(seen), Reason(200))
	}
}

func TestErrorSaysTheCause(t *testing.T) {
	cause := errors.New("the cause")
	if e := (&Error{Refused, cause}); e.Error() != "the cause" || !errors.Is(e, cause) {
		t.Errorf("%q", e)
	}
	if e := (&Error{Reason: Refused}); e.Error() != "connection refused" {
		t.Errorf("%q", e)
	}
}

func TestPassing(t *testing.T) {
	accept := func(errno syscall.Errno) error {
		return &net.OpError{Op: "accept", Net: "tcp", Err: os.NewSyscallError("accept4", errno)}
	}
	for _, errno := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED, syscall.EINTR} {
		if !Passing(accept(errno)) {
			t.Errorf("%v would end the listener", errno)
		}
	}
	for _, err := range []error{accept(syscall.EBADF), accept(syscall.EINVAL), net.ErrClosed} {
		if Passing(err) {
			t.Errorf("after %v the listener would go on for ever", err)
		}
	}
}
