package splice

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func framedLeg(multipath bool) leg {
	return func(t testing.TB) (Conn, Conn) {
		server, client := tlsLeg(multipath)(t)
		return Framed(server.(*TLSConn), nil, nil, nil), Framed(client.(*TLSConn), nil, nil, nil)
	}
}

// oneByOne makes streams over one TLS connection, of which each has to give it
// back before the next.
type oneByOne struct {
	t         testing.TB
	near, far *TLSConn
	given     atomic.Int32
}

func newOneByOne(t testing.TB) *oneByOne {
	server, client := tlsLeg(false)(t)
	return &oneByOne{t: t, near: server.(*TLSConn), far: client.(*TLSConn)}
}

func (o *oneByOne) next() (near, far *FramedConn) {
	given := func() { o.given.Add(1) }
	return Framed(o.near, nil, nil, given), Framed(o.far, nil, nil, given)
}

func TestStreamsOneAfterTheOther(t *testing.T) {
	o := newOneByOne(t)
	for i := range 4 {
		near, far := o.next()
		// More than one frame, and not a whole number of them.
		up, down := bytes.Repeat([]byte{byte('a' + i)}, 200_000+i), bytes.Repeat([]byte{byte('A' + i)}, 70_000*i)
		var writers sync.WaitGroup
		writers.Go(func() {
			far.Write(up)
			far.CloseWrite()
		})
		writers.Go(func() {
			near.Write(down)
			near.CloseWrite()
		})
		for _, c := range []struct {
			from *FramedConn
			want []byte
		}{{near, up}, {far, down}} {
			got, err := io.ReadAll(c.from)
			if err != nil || !bytes.Equal(got, c.want) {
				t.Fatalf("stream %d: %d bytes, %v, want %d", i, len(got), err, len(c.want))
			}
		}
		writers.Wait() // the peer may have read an end before the writer knows that it is out
		near.Close()
		far.Close()
		if n := o.given.Load(); n != int32(2*i+2) {
			t.Fatalf("given back %d times after %d streams", n, i+1)
		}
	}
}

func TestFramedHeadGoesFirst(t *testing.T) {
	server, client := tlsLeg(false)(t)
	f := Framed(client.(*TLSConn), nil, []byte("head"), nil)
	go f.Write([]byte("hello"))
	got := make([]byte, 4+frameHead+5)
	if _, err := io.ReadFull(server, got); err != nil || string(got) != "head\x00\x00\x05hello" {
		t.Fatalf("read %q, %v", got, err)
	}
	go f.Write(nil) // is nothing, not the end
	go f.Write([]byte("x"))
	got = got[:frameHead+1]
	if _, err := io.ReadFull(server, got); err != nil || string(got) != "\x00\x00\x01x" {
		t.Fatalf("read %q, %v", got, err)
	}
}

// Whatever is not a good end of both directions must cost the connection.
func TestUncleanEndsCostTheConnection(t *testing.T) {
	for name, end := range map[string]func(near, far *FramedConn){
		"nobody has ended":  func(near, far *FramedConn) {},
		"only the peer has": func(near, far *FramedConn) { far.CloseWrite(); io.ReadAll(near) },
		"only we have":      func(near, far *FramedConn) { near.CloseWrite() },
		"aborted":           func(near, far *FramedConn) { both(near, far); Abort(near) },
	} {
		o := newOneByOne(t)
		near, far := o.next()
		end(near, far)
		near.Close()
		if o.given.Load() > 0 {
			t.Errorf("%s: given back", name)
		}
		if _, err := o.near.Write([]byte("x")); err == nil {
			t.Errorf("%s: the connection is open", name)
		}
	}
}

func both(near, far *FramedConn) {
	near.CloseWrite()
	far.CloseWrite()
	io.ReadAll(near)
	io.ReadAll(far)
}

// Who has read the other's end may begin the next stream, however long that one
// takes to close this.
func TestNextStreamMayComeEarly(t *testing.T) {
	o := newOneByOne(t)
	near, far := o.next()
	both(near, far)
	near.Close()
	if !o.near.Quiet() {
		t.Error("not quiet")
	}
	near2, far2 := o.next()
	near2.Write([]byte("hello"))
	o.far.Wait()
	far.Close()
	if n := o.given.Load(); n != 2 {
		t.Fatalf("given back %d times", n)
	}
	got := make([]byte, 5)
	if _, err := io.ReadFull(far2, got); err != nil || string(got) != "hello" {
		t.Fatalf("the next stream reads %q, %v", got, err)
	}
	near2.Write([]byte("too much"))
	o.far.Wait()
	if o.far.Quiet() {
		t.Error("quiet with a byte to read")
	}
}

// Timers and contexts of a stream may fire late.
func TestClosedStreamLeavesTheConnectionAlone(t *testing.T) {
	o := newOneByOne(t)
	near, far := o.next()
	both(near, far)
	near.Close()
	far.Close()
	near2, far2 := o.next()
	near.SetDeadline(time.Unix(1, 0))
	near.SetReadDeadline(time.Unix(1, 0))
	near.SetWriteDeadline(time.Unix(1, 0))
	Abort(near)
	if _, err := near.Write([]byte("late")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("late write: %v", err)
	}
	if err := near.CloseWrite(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("late end: %v", err)
	}
	if _, err := near.Read(make([]byte, 1)); err == nil {
		t.Error("late read")
	}
	go near2.Write([]byte("hello"))
	got := make([]byte, 5)
	if _, err := io.ReadFull(far2, got); err != nil || string(got) != "hello" {
		t.Fatalf("the next stream reads %q, %v", got, err)
	}
}

// A stream that TLS ends, in whatever good order, is cut off.
func TestEndOfTLSIsNoEndOfAStream(t *testing.T) {
	for _, sent := range []string{"", "\x00", "\x00\x00\x05abc"} {
		server, client := tlsLeg(false)(t)
		fmt.Fprint(client, sent)
		client.CloseWrite()
		if b, err := io.ReadAll(Framed(server.(*TLSConn), nil, nil, nil)); err != io.ErrUnexpectedEOF {
			t.Errorf("%q reads as %q, %v", sent, b, err)
		}
	}
}

// An abort must be seen even while a Close waits to say goodbye, and the reader
// must not take it for an end.
func TestAbortedStreamDidNotEnd(t *testing.T) {
	near, far := newOneByOne(t).next()
	go func() {
		time.Sleep(10 * time.Millisecond)
		Abort(near)
	}()
	if _, err := io.ReadAll(near); err == nil {
		t.Error("the aborted end reads an end")
	}
	if _, err := io.ReadAll(far); err == nil {
		t.Error("the other end reads an end")
	}
}

func FuzzFramedRead(f *testing.F) {
	f.Add([]byte("\x00\x00\x05hello\x00\x00\x02, \x00\x00\x00next"), uint8(3))
	f.Add([]byte("\x01\x00\x01too long"), uint8(1))
	f.Fuzz(func(t *testing.T, wire []byte, step uint8) {
		want, rest, wantErr := unframe(wire)
		in := bytes.NewReader(wire)
		below := func(p []byte) (int, error) { return in.Read(p[:min(len(p), 1+int(step))]) }
		c := Framed(nil, nil, nil, nil)
		var got []byte
		buf := make([]byte, 1+int(step)*7)
		for {
			n, err := c.read(buf, below)
			got = append(got, buf[:n]...)
			if err == nil {
				continue
			}
			if !bytes.Equal(got, want) || err != wantErr {
				t.Fatalf("%q, %v, want %q, %v", got, err, want, wantErr)
			}
			if err == io.EOF && in.Len() != len(rest) {
				t.Fatalf("%d bytes behind the end are left, want %d", in.Len(), len(rest))
			}
			return
		}
	})
}

// unframe is the format as the documentation has it.
func unframe(b []byte) (plain, rest []byte, err error) {
	for {
		if len(b) < frameHead {
			return plain, nil, io.ErrUnexpectedEOF
		}
		n := int(b[0])<<16 + int(b[1])<<8 + int(b[2])
		b = b[frameHead:]
		switch {
		case n > maxFrame:
			return plain, nil, errFrame
		case n == 0:
			return plain, b, io.EOF
		case n > len(b):
			return append(plain, b...), nil, io.ErrUnexpectedEOF
		}
		plain, b = append(plain, b[:n]...), b[n:]
	}
}

// FuzzStreamsStayApart joins streams one after the other over one connection, in
// pairs as the two ends of Tributary do. The script says how much each side sends
// and how it ends. Each byte tells its stream: none may reach another one.
func FuzzStreamsStayApart(f *testing.F) {
	f.Add([]byte{10, 20, 0, 200, 3, 0, 0, 0, 0, 7, 255, 0})
	f.Add([]byte{1, 1, 1, 5, 5, 0})
	f.Add([]byte{90, 90, 2, 5, 5, 0})
	f.Add([]byte{90, 90, 3, 5, 5, 0})
	f.Fuzz(func(t *testing.T, script []byte) {
		o := newOneByOne(t)
		for i := 0; len(script) >= 3 && i < 8; i, script = i+1, script[3:] {
			tag := byte(1 + i)
			if !stayApart(t, o, tag, int(script[0])*523, int(script[1])*997, script[2]%4) {
				if o.given.Load() == int32(2*i+2) {
					t.Fatal("an unclean stream gave the connection back on both sides")
				}
				return
			}
			if o.given.Load() != int32(2*i+2) {
				t.Fatalf("stream %d: the connection is lost after a clean end", i)
			}
		}
	})
}

// stayApart carries one stream; it reports whether that ended well.
func stayApart(t *testing.T, o *oneByOne, tag byte, up, down int, how byte) bool {
	near, far := o.next()
	client, clientEnd := net.Pipe()
	server, serverEnd := net.Pipe()
	results := make(chan error, 2)
	go func() { results <- (&Pair{Client: &piped{Conn: clientEnd}, Server: far}).Run(context.Background()) }()
	go func() { results <- (&Pair{Client: near, Server: &piped{Conn: serverEnd}}).Run(context.Background()) }()
	talk := func(c net.Conn, send int, breaks bool) func() {
		done := make(chan struct{}, 2)
		go func() {
			c.Write(bytes.Repeat([]byte{tag}, send))
			if breaks {
				c.Close() // in the middle of what the peer sends, perhaps
			} else {
				c.Write([]byte{endMark})
			}
			done <- struct{}{}
		}()
		go func() {
			defer func() { done <- struct{}{} }()
			buf := make([]byte, 4096)
			for {
				n, err := c.Read(buf)
				for _, b := range buf[:n] {
					if b == endMark {
						return
					}
					if b != tag {
						t.Errorf("stream %d has a byte of stream %d", tag, b)
					}
				}
				if err != nil {
					return
				}
			}
		}()
		return func() { <-done; <-done }
	}
	waitClient := talk(client, up, how == 1 || how == 3)
	waitServer := talk(server, down, how >= 2)
	a, b := <-results, <-results
	client.Close()
	server.Close()
	waitClient()
	waitServer()
	return a == nil && b == nil
}

// endMark stands for the end of a direction, which a net.Pipe does not have.
const endMark = 0xee

// piped makes a net.Pipe a Conn with two directions: a mark ends each.
type piped struct {
	net.Conn
	ended bool
}

func (p *piped) Read(b []byte) (int, error) {
	if p.ended {
		return 0, io.EOF
	}
	n, err := p.Conn.Read(b)
	if n > 0 && b[n-1] == endMark {
		p.ended = true
		n--
		err = nil
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func (p *piped) CloseWrite() error {
	_, err := p.Conn.Write([]byte{endMark})
	return err
}
