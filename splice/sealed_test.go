package splice

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"testing"
	"time"
)

// A testFraming has a length before each part, and zero for the end.
type testFraming struct {
	said string // comes before the first byte
	size int    // of the next part, 0 while the length is next
	end  bool
	lax  bool // TCP's end will do
}

func (f *testFraming) Seal(b, plain []byte) ([]byte, error) {
	plain = append([]byte(f.said), plain...)
	f.said = ""
	for len(plain) > 0 {
		n := min(len(plain), 0xffff)
		b = append(binary.BigEndian.AppendUint16(b, uint16(n)), plain[:n]...)
		plain = plain[n:]
	}
	return b, nil
}

func (f *testFraming) End(b []byte) []byte { return append(b, 0, 0) }

func (f *testFraming) Need() int {
	switch {
	case f.end:
		return 0
	case f.size == 0:
		return 2
	}
	return f.size
}

func (f *testFraming) Open(part []byte) ([]byte, error) {
	if f.size > 0 {
		f.size = 0
		return part, nil
	}
	if f.size = int(binary.BigEndian.Uint16(part)); f.size == 0 {
		f.end = true
		return nil, io.EOF
	}
	return nil, nil
}

func (f *testFraming) Whole() bool { return f.end || f.lax }

func sealedLeg(multipath bool) leg {
	return func(t testing.TB) (Conn, Conn) {
		c, s := socketPair(t, multipath)
		return Sealed(s, nil, &testFraming{}), Sealed(c, nil, &testFraming{})
	}
}

func TestEndOfTCPInsideAPartIsUnexpected(t *testing.T) {
	for _, sent := range []string{"", "\x00", "\x00\x05abc", "\x00\x03abc"} {
		near, far := socketPair(t, false)
		fmt.Fprint(far, sent)
		far.CloseWrite()
		if b, err := io.ReadAll(Sealed(near, nil, &testFraming{})); err != io.ErrUnexpectedEOF {
			t.Errorf("%q reads as %q, %v", sent, b, err)
		}
	}
	for sent, want := range map[string]error{"": nil, "\x00\x03abc": nil, "\x00": io.ErrUnexpectedEOF, "\x00\x03ab": io.ErrUnexpectedEOF} {
		near, far := socketPair(t, false)
		fmt.Fprint(far, sent)
		far.CloseWrite()
		if b, err := io.ReadAll(Sealed(near, nil, &testFraming{lax: true})); err != want {
			t.Errorf("%q reads as %q, %v, want %v", sent, b, err, want)
		}
	}
}

func TestSealedFirstBytes(t *testing.T) {
	near, far := socketPair(t, false)
	fmt.Fprint(far, "lo\x00\x00")
	c := Sealed(near, []byte("\x00\x05hel"), &testFraming{})
	if b, err := io.ReadAll(c); string(b) != "hello" || err != nil {
		t.Errorf("read %q, %v", b, err)
	}
	if c.in != nil {
		t.Error("a buffer is held after the end")
	}
	if _, err := c.Write(nil); err != nil {
		t.Error(err)
	}
}

// What the framing says first leaves with a Write of nothing, once.
func TestSealedWriteOfNothing(t *testing.T) {
	near, far := socketPair(t, false)
	c := Sealed(near, nil, &testFraming{said: "hello"})
	c.Write(nil)
	c.Write(nil)
	c.CloseWrite()
	b := make([]byte, 9)
	if io.ReadFull(far, b); string(b) != "\x00\x05hello\x00\x00" {
		t.Errorf("sent %q", b)
	}
}

// The format's end goes without TCP's, from which on no subflow can join.
func TestEndOfFormatLeavesTCPOpen(t *testing.T) {
	near, far := socketPair(t, false)
	Sealed(near, nil, &testFraming{}).CloseWrite()
	far.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if b, err := io.ReadAll(far); string(b) != "\x00\x00" || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("sent %q, %v", b, err)
	}
}

func TestIdleSealedConnHoldsNoBuffer(t *testing.T) {
	si, client := sealedLeg(false)(t)
	di, server := bareLeg(false)(t)
	s := si.(*SealedConn)
	if s.sock == nil {
		t.Skip("the system has no readiness calls")
	}
	p := &Pair{Client: si, Server: di}
	result := make(chan error, 1)
	go func() { result <- p.Run(context.Background()) }()
	fmt.Fprint(client, "hello")
	io.ReadFull(server, make([]byte, 5))
	time.Sleep(50 * time.Millisecond) // until it waits again
	Abort(client)
	wait(t, result)
	if s.in != nil {
		t.Error("it waited with a buffer")
	}
}
