package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"tributary/proxy"
	"tributary/splice"
)

var (
	webServer   = address("web.test:443") // its clients are answered at once
	otherServer = address("other.test:22")
)

// read settles a stream and reads all of it, as splice does.
func read(c proxy.Conn) (string, error) {
	if o, ok := c.(splice.Opening); ok {
		var err error
		if c, err = o.Settle(); err != nil {
			return "", err
		}
	}
	b, err := io.ReadAll(c)
	return string(b), err
}

func (w *world) dial(t *testing.T, to proxy.Addr, early string) proxy.Conn {
	t.Helper()
	c, err := w.dialer.DialStream(w.ctx, to, []byte(early))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (w *world) wantMoves(t *testing.T, want int) {
	t.Helper()
	if n := strings.Count(w.log.String(), "moves to another connection"); n != want {
		t.Errorf("the request moved %d times, want %d", n, want)
	}
}

func TestStreamThroughTheRelay(t *testing.T) {
	for _, to := range []proxy.Addr{webServer, otherServer} {
		for _, early := range []string{"", "early "} {
			for _, warm := range []bool{true, false} {
				t.Run(fmt.Sprintf("%v, early %q, warm %v", to, early, warm), func(t *testing.T) {
					inBubble(t, func(t *testing.T, w *world) {
						w.servers.Handle(to, answers)
						way := coldTime - rtR // the login travels with the request
						if warm {
							w.fill(t)
							way = 0
						}
						began := time.Now()
						c := w.dial(t, to, early)
						want := way
						if to == otherServer {
							want += rtR + rtP // the truth
						}
						if took := time.Since(began); took != want {
							t.Errorf("dialling took %v, want %v", took, want)
						}
						io.WriteString(c, "late")
						c.CloseWrite()
						if got, err := read(c); got != fmt.Sprintf("got %d bytes %q, <nil>", len(early+"late"), early+"late") || err != nil {
							t.Errorf("read %q, %v", got, err)
						}
						c.Close()
						if w.dialer.memory.waits(to) {
							t.Error("a server that answered is not remembered")
						}
					})
				})
			}
		}
	}
}

func TestRefusalThroughTheRelay(t *testing.T) {
	for _, to := range []proxy.Addr{webServer, otherServer} {
		inBubble(t, func(t *testing.T, w *world) {
			w.servers.Refuse(to, proxy.HostUnreachable)
			w.fill(t)
			c, err := w.dialer.DialStream(w.ctx, to, []byte("early"))
			if (err == nil) != (to == webServer) {
				t.Fatalf("dial: %v", err)
			}
			if err == nil {
				_, err = read(c)
				if _, werr := c.Write([]byte("x")); werr == nil {
					t.Error("a refused stream takes more")
				}
				c.Close()
			}
			if proxy.ReasonOf(err) != proxy.HostUnreachable {
				t.Errorf("refused with %v", err)
			}
			if !w.dialer.memory.waits(to) {
				t.Error("the refusal is not remembered")
			}
			w.wantMoves(t, 0)
		})
	}
}

// A warm connection that dies of the request is replaced by a new one: the request
// alone does no more than open a stream.
func TestRequestMovesToAnother(t *testing.T) {
	for _, to := range []proxy.Addr{webServer, otherServer} {
		for _, ended := range []bool{false, true} {
			inBubble(t, func(t *testing.T, w *world) {
				w.servers.Handle(to, answers)
				w.fill(t)
				w.deaf = 1
				began := time.Now()
				c := w.dial(t, to, "")
				if ended {
					c.CloseWrite() // before the answer, where that is not waited for
				}
				if o, ok := c.(splice.Opening); ok {
					var err error
					if c, err = o.Settle(); err != nil {
						t.Fatal(err)
					}
				}
				if took, want := time.Since(began), rtR+coldTime+rtP; took != want {
					t.Errorf("answered after %v, want %v", took, want)
				}
				if !ended {
					io.WriteString(c, "late")
					c.CloseWrite()
				}
				want := `got 4 bytes "late", <nil>`
				if ended {
					want = `got 0 bytes "", <nil>`
				}
				if got, err := read(c); got != want || err != nil {
					t.Errorf("read %q, %v; want %q", got, err, want)
				}
				c.Close()
				w.wantMoves(t, 1)
			})
		}
	}
}

func TestRequestGivesUp(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.servers.Handle(otherServer, answers)
		w.fill(t)
		w.deaf = 100
		_, err := w.dialer.DialStream(w.ctx, otherServer, nil)
		if proxy.ReasonOf(err) != proxy.RelayUnreachable {
			t.Errorf("refused with %v", err)
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		if used := 100 - w.deaf; used < 2 || used > tries {
			t.Errorf("%d tries, want 2 to %d", used, tries)
		}
		if w.dialer.memory.waits(webServer) || len(w.dialer.memory.failed) > 0 {
			t.Error("the relay's failure was taken for the server's")
		}
	})
}

// Bytes of the client that may have been delivered are never sent twice. Without a
// kernel to ask, all may have been.
func TestDeliveredBytesAreNotRepeated(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.servers.Handle(webServer, answers)
		w.fill(t)
		w.deaf = 1
		c := w.dial(t, webServer, "order one pizza")
		if got, err := read(c); proxy.ReasonOf(err) != proxy.RelayUnreachable {
			t.Errorf("read %q, %v", got, err)
		}
		c.Close()
		if d := w.servers.Dialed(); len(d) > 0 {
			t.Errorf("it was sent again: %v", d)
		}
	})
}

// More than can be kept goes through as well, in order and once.
func TestOverflow(t *testing.T) {
	inRealTime(t, func(t *testing.T, w *world) {
		var got []byte
		w.servers.Handle(webServer, func(c proxy.Conn) {
			got, _ = io.ReadAll(c)
			fmt.Fprint(c, "thanks")
		})
		data := bytes.Repeat([]byte("0123456789abcdefghijklmnopqrstuvwxyz."), 4*retainMost/37)
		c := w.dial(t, webServer, string(data[:1000]))
		go func() {
			for rest := data[1000:]; len(rest) > 0; {
				n, err := c.Write(rest[:min(len(rest), 10_000)])
				if err != nil {
					t.Error(err)
					return
				}
				rest = rest[n:]
			}
			c.CloseWrite()
		}()
		if answer, err := read(c); answer != "thanks" || err != nil {
			t.Errorf("read %q, %v", answer, err)
		}
		c.Close()
		if !bytes.Equal(got, data) {
			t.Errorf("the server got %d bytes of %d, or others", len(got), len(data))
		}
	})
	inBubble(t, func(t *testing.T, w *world) { // a relay that takes them and dies
		w.fill(t)
		w.mute = true
		c := w.dial(t, webServer, "")
		for range 2*retainMost/1000 + 1 {
			c.Write(make([]byte, 1000))
		}
		tun := c.(*tunnel)
		if !tun.overflow || tun.sent != nil {
			t.Errorf("overflow %v, %d bytes kept", tun.overflow, len(tun.sent))
		}
		w.kill(-1)
		if _, err := read(c); proxy.ReasonOf(err) != proxy.RelayUnreachable {
			t.Errorf("read: %v", err)
		}
		c.Close()
		w.wantMoves(t, 0)
	})
}

// A server may answer without taking what the client sends: the answer must not
// wait for the client's bytes.
func TestAnswerDoesNotWaitForTheClientsBytes(t *testing.T) {
	inRealTime(t, func(t *testing.T, w *world) {
		stop := make(chan struct{})
		w.accept = func(c proxy.Conn) {
			fmt.Fprint(c, "413")
			<-stop
		}
		c := w.dial(t, webServer, "")
		sent, got := make(chan struct{}), make(chan error, 1)
		go func() { io.Copy(c, neverEnding{}); close(sent) }()
		go func() {
			conn, err := c.(splice.Opening).Settle()
			if err == nil {
				_, err = io.ReadFull(conn, make([]byte, 3))
			}
			got <- err
		}()
		select {
		case err := <-got:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(5 * time.Second):
			t.Error("the answer is not read while the client's bytes wait")
		}
		close(stop)
		w.kill(-1)
		<-sent
		splice.Abort(c)
	})
}

// inRealTime is for what waits on a mutex: virtual time would stand still.
func inRealTime(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	w := newWorld(t)
	f(t, w)
	w.end()
	w.kill(-1)
	w.served.Wait()
	w.servers.Wait()
}

type neverEnding struct{}

func (neverEnding) Read(p []byte) (int, error) { return len(p), nil }

func TestCloseBeforeTheAnswer(t *testing.T) {
	for name, end := range map[string]func(c net.Conn) error{"close": net.Conn.Close, "abort": splice.Abort} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				w.fill(t)
				w.mute = true
				c := w.dial(t, webServer, "early")
				settled := make(chan error)
				go func() {
					_, err := c.(splice.Opening).Settle()
					settled <- err
				}()
				time.Sleep(time.Second)
				began := time.Now()
				end(c)
				if err := <-settled; err == nil || time.Since(began) > time.Second {
					t.Errorf("%v after %v", err, time.Since(began))
				}
				if _, err := c.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
					t.Errorf("write afterwards: %v", err)
				}
				w.wantMoves(t, 0)
			})
		})
	}
}

// The client goes away while its request looks for another connection.
func TestCloseDuringTheSearch(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.fill(t)
		w.deaf = 1
		w.set(silent)
		c := w.dial(t, webServer, "")
		settled := make(chan error)
		go func() {
			_, err := c.(splice.Opening).Settle()
			settled <- err
		}()
		time.Sleep(time.Second)
		w.wantMoves(t, 1)
		c.Close()
		synctest.Wait()
		select {
		case err := <-settled:
			if err == nil {
				t.Error("it found one")
			}
		default:
			t.Error("the search goes on")
			<-settled
		}
	})
}

// A relay that takes the request and says nothing is given up.
func TestRelayThatDoesNotAnswer(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.fill(t)
		w.mute = true
		began := time.Now()
		_, err := w.dialer.DialStream(w.ctx, otherServer, []byte("early"))
		if took := time.Since(began); proxy.ReasonOf(err) != proxy.RelayUnreachable || took != answerTime {
			t.Errorf("%v after %v", err, took)
		}
	})
}

// A counting context knows what still waits for it.
type counting struct {
	context.Context
	waiting atomic.Int32
}

func (*counting) Value(any) any { return nil } // hides the cancelCtx inside

// AfterFunc serves package context.
func (c *counting) AfterFunc(f func()) func() bool {
	c.waiting.Add(1)
	stop := context.AfterFunc(c.Context, f)
	return func() bool {
		stopped := stop()
		if stopped {
			c.waiting.Add(-1)
		}
		return stopped
	}
}

// The context of all sessions lives as long as the gateway: a session that is over
// must leave it.
func TestSessionLeavesItsContext(t *testing.T) {
	for _, to := range []proxy.Addr{webServer, otherServer} {
		for _, refused := range []bool{false, true} {
			t.Run(fmt.Sprintf("%v, refused %v", to, refused), func(t *testing.T) {
				inBubble(t, func(t *testing.T, w *world) {
					w.servers.Handle(to, answers)
					if refused {
						w.servers.Refuse(to, proxy.Refused)
					}
					w.fill(t)
					ctx := &counting{Context: w.ctx}
					c, err := w.dialer.DialStream(ctx, to, nil)
					if err == nil {
						c.CloseWrite()
						read(c)
						c.Close()
					}
					synctest.Wait()
					if n := ctx.waiting.Load(); n != 0 {
						t.Errorf("%d still wait for its end", n)
					}
				})
			})
		}
	}
}
