package proxytest

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tributary/proxy"
)

// An Inbound is a protocol by which clients ask for streams, with its server and
// its client side, for [TestInbound].
type Inbound struct {
	Name string // what Request.Inbound says
	User string // what Request.User says

	// Accept is the server side. It closes c when it fails.
	Accept func(c proxy.Conn, first []byte) (*proxy.Request, error)

	// Opening returns all that a client sends up to and including its request for
	// an address, or nil if the protocol cannot say that address.
	Opening func(to proxy.Addr) []byte

	// Answer reads the server's answers to Opening, no byte more. A refusal is an
	// error that proxy.ReasonOf understands.
	Answer func(r io.Reader) error

	// Seen returns how a reason looks to the client.
	Seen func(proxy.Reason) proxy.Reason
}

const (
	oneWay  = 10 * time.Millisecond
	patient = 5 * time.Second  // the deadline that the server's caller sets
	closing = 10 * time.Second // within which a refused client is gone, RFC 1928 section 6
	hello   = "the server may speak first"
	more    = "what the client says later"
	bye     = "the last word after the client's end"
)

// TestInbound runs the contract of inbounds, in virtual time:
//
//   - each kind of address arrives, with early data or without;
//   - no byte is lost, added or waited for, whether the client's bytes come in one
//     piece or one at a time, and however many of them the caller read already;
//   - what was sent in one piece is answered one round trip later by one write;
//   - a request's Accept returns the very connection, which half-closes;
//   - each refusal reaches the client whole, even if it sent much more, and ends
//     the connection within 10 s, even if it stays;
//   - an opening cut at any byte, by an end, a reset or silence, is an error in
//     bounded time, and the connection is closed.
//
// A goroutine that stays behind fails the test.
func TestInbound(t *testing.T, in Inbound) {
	for _, to := range addresses(t) {
		if in.Opening(to) == nil {
			continue
		}
		for _, early := range []string{"", "early \x00\x05\x04CONNECT\r\n\r\n", strings.Repeat("0123456789abcdef", 2<<10)} {
			for _, firstSize := range []int{1, 9, Window} {
				t.Run(fmt.Sprintf("accept %.20v, %d bytes early, %d read before", to, len(early), firstSize), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { in.accept(t, to, early, firstSize, false) })
				})
			}
			if len(early) < 100 {
				t.Run(fmt.Sprintf("accept %.20v, %d bytes early, byte by byte", to, len(early)), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { in.accept(t, to, early, 1, true) })
				})
			}
		}
	}
	to := addresses(t)[0]
	for _, r := range proxy.Reasons() {
		for _, early := range []int{0, 100, 40 << 10} {
			for _, stays := range []bool{false, true} {
				t.Run(fmt.Sprintf("refuse %v, %d bytes early, client stays %v", r, early, stays), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { in.refuse(t, to, r, early, stays) })
				})
			}
		}
	}
	for _, to := range addresses(t) {
		for _, cut := range cuts {
			t.Run(fmt.Sprintf("cut by %s %.20v", cut.name, to), func(t *testing.T) {
				for i := 1; i < len(in.Opening(to)); i++ {
					synctest.Test(t, func(t *testing.T) { in.cut(t, in.Opening(to)[:i], cut.do) })
				}
			})
		}
	}
}

// addresses returns one of each kind. The first is one that every protocol has.
func addresses(t *testing.T) (all []proxy.Addr) {
	for _, s := range []string{"192.0.2.80:80", "[2001:db8::80]:443", "final.example:65535", strings.Repeat("long.", 50) + "label:1"} {
		a, err := proxy.ParseAddr(s)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, a)
	}
	return all
}
