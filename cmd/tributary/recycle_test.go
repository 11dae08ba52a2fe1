package main

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tributary/gateway"
	"tributary/proxy"
)

// Sessions that end in good order use one connection to the relay, one after the
// other.
func TestConnectionIsRecycled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, gateway.Auto)
		w.recycle()
		w.used()
		for i := range 5 {
			if s := (session{to: fmt.Sprintf("server%d.test:443", i), up: 3000, down: 100_000}); !s.run(t, w, byte(1+i)) {
				t.Errorf("session %d failed", i)
			}
			time.Sleep(time.Second)
		}
		if n := w.used(); n != 1 {
			t.Errorf("5 sessions used %d connections", n)
		}
	})
}

// A session that was cut off takes its connection with it.
func TestBrokenSessionIsNotRecycled(t *testing.T) {
	for _, s := range []session{
		{to: "server.test:443", up: 3000, down: 100_000, breaks: true},
		{to: "server.test:443", up: 3000, down: 100_000, breaksOff: true},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, gateway.Auto)
			w.recycle()
			w.used()
			before := slices.Clone(w.ends)
			if s.run(t, w, 1) {
				t.Error("the broken session looks whole")
			}
			time.Sleep(time.Second)
			broken := slices.DeleteFunc(w.carried(), func(e *lossy) bool { return !slices.Contains(before, e) })
			if len(broken) != 1 {
				t.Fatalf("the session used %d connections", len(broken))
			}
			time.Sleep(time.Minute) // until the pool is full again
			w.carried()
			if whole := (session{to: "next.test:443", up: 10, down: 10}); !whole.run(t, w, 2) {
				t.Error("the next session failed")
			}
			time.Sleep(time.Second)
			for _, e := range w.carried() {
				if e == broken[0] {
					t.Error("the connection of the broken session was used again")
				}
			}
		})
	}
}

// A session is what client and server do in one.
type session struct {
	to        string
	up, down  int
	breaks    bool // the client resets before it has read all
	breaksOff bool // the server resets in the middle
	refused   bool
}

// run carries it through both ends; each byte is the tag. It reports whether all
// arrived. A byte of another session fails the test.
func (s session) run(t testing.TB, w *world, tag byte) bool {
	to, err := proxy.ParseAddr(s.to)
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan int, 1)
	if s.refused {
		w.servers.Refuse(to, proxy.Refused)
	} else {
		w.servers.Handle(to, func(c proxy.Conn) {
			done := make(chan int, 1)
			go func() { done <- s.read(t, c, tag) }()
			send := s.down
			if s.breaksOff {
				send /= 2
			}
			c.Write(bytes.Repeat([]byte{tag}, send))
			if s.breaksOff {
				abort(c)
			} else {
				c.CloseWrite()
			}
			n := <-done
			select {
			case got <- n:
			default: // a server that resets before it has answered may be asked again
			}
		})
	}
	conn := w.client()
	defer conn.Close()
	if err := socks5Client(conn, to); err != nil {
		return false
	}
	go func() {
		conn.Write(bytes.Repeat([]byte{tag}, s.up))
		if !s.breaks {
			conn.CloseWrite()
		}
	}()
	if s.breaks {
		conn.SetReadDeadline(time.Now().Add(time.Second))
		io.ReadFull(conn, make([]byte, s.down/2))
		abort(conn)
		return false
	}
	n := s.read(t, conn, tag)
	return !s.refused && n == s.down && <-got == s.up
}

// read returns how many bytes came, or -1 if they were cut off.
func (s session) read(t testing.TB, c io.Reader, tag byte) int {
	b, err := io.ReadAll(c)
	for _, x := range b {
		if x != tag {
			t.Errorf("session %d got a byte of session %d", tag, x)
			break
		}
	}
	if err != nil {
		return -1
	}
	return len(b)
}

func abort(c proxy.Conn) {
	c.(interface{ SetLinger(int) error }).SetLinger(0)
	c.Close()
}

// FuzzSessionsStayApart has random sessions follow each other, several at once,
// through both real ends. Each says its number in each byte.
func FuzzSessionsStayApart(f *testing.F) {
	f.Add([]byte{10, 20, 0, 200, 3, 0, 0, 0, 0, 7, 255, 0})
	f.Add([]byte{1, 1, 1, 5, 5, 2, 5, 5, 0, 5, 5, 3, 7, 7, 0})
	f.Add([]byte{255, 255, 4, 255, 255, 5, 200, 0, 6, 5, 5, 0})
	f.Fuzz(sessionsApart)
}

func sessionsApart(t *testing.T, script []byte) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, gateway.Auto)
		w.warm()
		var all sync.WaitGroup
		defer all.Wait()
		for i := 1; len(script) >= 3 && i < 12; i, script = i+1, script[3:] {
			s := session{
				to: fmt.Sprintf("server%d.test:80", i), up: int(script[0]) * 523, down: int(script[1]) * 997,
				breaks: script[2]&3 == 1, breaksOff: script[2]&3 == 2, refused: script[2]&3 == 3,
			}
			tag := byte(i)
			done := make(chan struct{})
			all.Go(func() {
				defer close(done)
				whole := !s.breaks && !s.breaksOff && !s.refused
				if ok := s.run(t, w, tag); ok != whole {
					t.Errorf("session %d: ok %v, want %v", tag, ok, whole)
				}
			})
			if script[2]&4 == 0 { // else it runs beside the next
				<-done
			}
		}
	})
}
