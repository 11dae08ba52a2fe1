package proxytest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"tributary/proxy"
)

const delay = 10 * time.Millisecond

var (
	_ proxy.Conn   = (*End)(nil)
	_ proxy.Dialer = (*Servers)(nil)
)

// bubble runs f on a wire in virtual time, and tells how much of it has passed.
func bubble(t *testing.T, f func(t *testing.T, a, b *End, elapsed func() time.Duration)) {
	synctest.Test(t, func(t *testing.T) {
		a, b := Wire(delay)
		began := time.Now()
		f(t, a, b, func() time.Duration { return time.Since(began) })
		a.Close()
		b.Close()
	})
}

func wantRead(t *testing.T, c *End, want string, wantErr error) {
	t.Helper()
	p := make([]byte, 100)
	n, err := c.Read(p)
	if string(p[:n]) != want || !errors.Is(err, wantErr) {
		t.Errorf("read %q, %v; want %q, %v", p[:n], err, want, wantErr)
	}
}

func TestWireDelay(t *testing.T) {
	bubble(t, func(t *testing.T, a, b *End, elapsed func() time.Duration) {
		a.Write([]byte("one "))
		a.Write([]byte("two"))
		if elapsed() != 0 {
			t.Errorf("a write took %v", elapsed())
		}
		wantRead(t, b, "one two", nil)
		if elapsed() != delay {
			t.Errorf("arrived after %v", elapsed())
		}
		b.Write([]byte("answer"))
		wantRead(t, a, "answer", nil)
		if elapsed() != 2*delay {
			t.Errorf("answered after %v", elapsed())
		}
		a.Write([]byte("three"))
		if got, want := a.Count(), (Count{Bytes: 12, Writes: 3, Flights: 2, Reads: 1}); got != want {
			t.Errorf("count %+v, want %+v", got, want)
		}
	})
}

func TestWireHalfClose(t *testing.T) {
	bubble(t, func(t *testing.T, a, b *End, elapsed func() time.Duration) {
		a.Write([]byte("last"))
		a.CloseWrite()
		if _, err := a.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
			t.Errorf("write after CloseWrite: %v", err)
		}
		wantRead(t, b, "last", nil)
		wantRead(t, b, "", io.EOF)
		b.Write([]byte("still here"))
		wantRead(t, a, "still here", nil)
		b.Close()
		wantRead(t, a, "", io.EOF)
		if elapsed() != 3*delay {
			t.Errorf("took %v", elapsed())
		}
	})
}

func TestWireReset(t *testing.T) {
	for what, abort := range map[string]func(a, b *End){
		"linger 0":          func(a, b *End) { reset(a) },
		"close on unread":   func(a, b *End) { b.Write([]byte("x")); time.Sleep(delay); a.Close() },
		"close on underway": func(a, b *End) { b.Write([]byte("x")); a.Close() },
		"write to closed":   func(a, b *End) { a.Close(); time.Sleep(delay); b.Write([]byte("x")) },
	} {
		bubble(t, func(t *testing.T, a, b *End, elapsed func() time.Duration) {
			a.Write([]byte("destroyed by the reset"))
			abort(a, b)
			time.Sleep(5 * delay)
			wantRead(t, b, "", syscall.ECONNRESET)
			if _, err := b.Write([]byte("x")); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("%s: write after reset: %v", what, err)
			}
			if _, err := a.Read(nil); !errors.Is(err, net.ErrClosed) {
				t.Errorf("%s: read after close: %v", what, err)
			}
		})
	}
	bubble(t, func(t *testing.T, a, b *End, elapsed func() time.Duration) {
		time.AfterFunc(delay, func() { reset(a) })
		wantRead(t, b, "", syscall.ECONNRESET) // wakes it
		if elapsed() != 2*delay {
			t.Errorf("reset took %v", elapsed())
		}
	})
}

func TestWireWindow(t *testing.T) {
	bubble(t, func(t *testing.T, a, b *End, elapsed func() time.Duration) {
		a.SetWriteDeadline(time.Now().Add(time.Minute))
		data := bytes.Repeat([]byte("0123456789abcdef"), Window/8) // two windows
		n, err := a.Write(data)
		if n != Window || !errors.Is(err, os.ErrDeadlineExceeded) || elapsed() != time.Minute {
			t.Errorf("write to a reader that does not read: %d, %v after %v", n, err, elapsed())
		}
		a.SetWriteDeadline(time.Time{})
		done := make(chan struct{})
		go func() {
			defer close(done)
			a.Write(data[n:])
			a.CloseWrite()
		}()
		got, err := io.ReadAll(b)
		if !bytes.Equal(got, data) || err != nil {
			t.Errorf("%d bytes arrive, %v", len(got), err)
		}
		<-done
		if took := elapsed() - time.Minute; took < 2*delay || took > 3*delay { // consent, then the rest
			t.Errorf("the second window took %v", took)
		}
	})
}

func TestWireDeadline(t *testing.T) {
	bubble(t, func(t *testing.T, a, b *End, elapsed func() time.Duration) {
		a.SetDeadline(time.Now().Add(time.Second))
		wantRead(t, a, "", os.ErrDeadlineExceeded)
		if elapsed() != time.Second {
			t.Errorf("deadline came after %v", elapsed())
		}
		a.SetReadDeadline(time.Time{})
		time.AfterFunc(time.Second, func() { a.SetReadDeadline(time.Now()) })
		wantRead(t, a, "", os.ErrDeadlineExceeded) // wakes it
		if elapsed() != 2*time.Second {
			t.Errorf("second deadline came after %v", elapsed())
		}
		a.SetDeadline(time.Time{})
		time.AfterFunc(time.Second, func() { a.Close() })
		wantRead(t, a, "", net.ErrClosed)
	})
}

func TestServers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		echo, _ := proxy.ParseAddr("echo.example:7")
		gone, _ := proxy.ParseAddr("gone.example:80")
		nowhere, _ := proxy.ParseAddr("nowhere.example:80")
		s := &Servers{Delay: delay}
		s.Handle(echo, Echo)
		s.Refuse(gone, proxy.HostUnreachable)
		began := time.Now()
		c, err := s.DialStream(ctx, echo, []byte("hi"))
		if err != nil || time.Since(began) != 2*delay {
			t.Fatalf("%v after %v", err, time.Since(began))
		}
		wantRead(t, c.(*End), "hi", nil)
		if time.Since(began) != 4*delay {
			t.Errorf("the echo took %v", time.Since(began))
		}
		c.CloseWrite()
		wantRead(t, c.(*End), "", io.EOF)
		c.Close()
		s.Wait()
		for addr, want := range map[proxy.Addr]proxy.Reason{gone: proxy.HostUnreachable, nowhere: proxy.Refused} {
			if _, err := s.DialStream(ctx, addr, nil); err == nil || proxy.ReasonOf(err) != want {
				t.Errorf("dial %v: %v", addr, err)
			}
		}
		ctx, cancel := context.WithTimeout(ctx, delay)
		defer cancel()
		if _, err := s.DialStream(ctx, echo, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("dial with an early end: %v", err)
		}
		if d := s.Dialed(); len(d) != 4 || d[0] != (Dial{echo, "hi"}) {
			t.Errorf("dialed %v", d)
		}
	})
}

func reset(e *End) {
	e.SetLinger(0)
	e.Close()
}
