package proxy_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"tributary/proxy"
	"tributary/proxy/proxytest"
)

const (
	oneWay = 10 * time.Millisecond // to every server
	rtt    = 2 * oneWay
)

// A stage is a session loop with a client in front of it and servers behind.
type stage struct {
	*proxy.Sessions
	servers *proxytest.Servers
	log     bytes.Buffer
	ctx     context.Context
	end     context.CancelFunc
	done    chan struct{}
	req     *proxy.Request
	began   time.Time
	gone    error // of Accept
	told    bool  // of the request
}

func newStage() *stage {
	s := &stage{servers: &proxytest.Servers{Delay: oneWay}, done: make(chan struct{})}
	s.ctx, s.end = context.WithCancel(context.Background())
	s.Sessions = &proxy.Sessions{Dialer: s.servers, Log: slog.New(slog.NewJSONHandler(&s.log, nil))}
	return s
}

// start serves a request for server.test:80 whose client is the End returned.
func (s *stage) start(early string) (*proxytest.End, *pending) {
	near, far := proxytest.Wire(0)
	p := &pending{conn: far, err: s.gone}
	s.req = &proxy.Request{
		From: netip.MustParseAddrPort("192.0.2.1:40000"), To: address("server.test:80"), User: "alice", Inbound: "test",
		Early: []byte(early), Told: s.told, Pending: p,
	}
	s.began = time.Now()
	go s.Serve(s.ctx, s.req, func() { close(s.done) })
	return near, p
}

// last returns the session's one line, after its end.
func (s *stage) last(t *testing.T) map[string]any {
	t.Helper()
	<-s.done
	s.servers.Wait()
	lines := strings.Split(strings.TrimSpace(s.log.String()), "\n")
	line := map[string]any{}
	if err := json.Unmarshal([]byte(lines[0]), &line); len(lines) != 1 || err != nil {
		t.Fatalf("log: %s", s.log.String())
	}
	for key, want := range map[string]any{
		"level": "INFO", "client": "192.0.2.1:40000", "to": "server.test:80", "inbound": "test", "account": "alice",
	} {
		if line[key] != want {
			t.Errorf("log: %s is %v, want %v", key, line[key], want)
		}
	}
	return line
}

func address(s string) proxy.Addr {
	a, err := proxy.ParseAddr(s)
	if err != nil {
		panic(err)
	}
	return a
}

// A pending answers in one byte, so that a test sees it in the client's stream.
type pending struct {
	conn     *proxytest.End
	err      error // of Accept
	bound    netip.AddrPort
	within   time.Duration // of AcceptWithin
	accepted time.Time
	refused  []proxy.Reason
}

func (p *pending) AcceptWithin(bound netip.AddrPort, within time.Duration) (proxy.Conn, error) {
	p.within = within
	return p.Accept(bound)
}

func (p *pending) Accept(bound netip.AddrPort) (proxy.Conn, error) {
	if p.err != nil {
		p.conn.Close()
		return nil, p.err
	}
	p.bound, p.accepted = bound, time.Now()
	_, err := p.conn.Write([]byte("+"))
	return p.conn, err
}

func (p *pending) Refuse(r proxy.Reason) error {
	p.refused = append(p.refused, r)
	return p.conn.Close()
}

func inBubble(t *testing.T, f func(t *testing.T, s *stage)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		defer s.end()
		f(t, s)
	})
}

func wantAll(t *testing.T, c *proxytest.End, want string) {
	t.Helper()
	if b, err := io.ReadAll(c); string(b) != want || err != nil {
		t.Errorf("read %q, %v; want %q", b, err, want)
	}
}

func wantReset(t *testing.T, c *proxytest.End) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(time.Minute))
	if b, err := io.ReadAll(c); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("read %q, %v; want a reset", b, err)
	}
}

func TestSession(t *testing.T) {
	inBubble(t, func(t *testing.T, s *stage) {
		s.servers.Handle(address("server.test:80"), proxytest.Echo)
		s.Bound = func(c proxy.Conn) netip.AddrPort { return netip.MustParseAddrPort(c.LocalAddr().String()) }
		client, p := s.start("")
		time.Sleep(time.Second)
		if open, total := s.Counts(); open != 1 || total != 1 {
			t.Errorf("%d open, %d in total", open, total)
		}
		fmt.Fprint(client, "hello")
		client.CloseWrite()
		wantAll(t, client, "+hello")
		line := s.last(t)
		if p.bound.String() != "192.0.2.1:40000" || p.accepted.Sub(s.began) != rtt {
			t.Errorf("bound %v, accepted after %v", p.bound, p.accepted.Sub(s.began))
		}
		if line["msg"] != "session" || line["up"] != 5.0 || line["down"] != 5.0 || line["err"] != nil {
			t.Errorf("log %v", line)
		}
		if took := time.Duration(line["took"].(float64)); took < time.Second+rtt || took > time.Second+2*rtt {
			t.Errorf("log: took %v", took)
		}
		if setup := time.Duration(line["setup"].(float64)); setup != rtt {
			t.Errorf("log: setup %v, want %v", setup, rtt)
		}
		if open, total := s.Counts(); open != 0 || total != 1 {
			t.Errorf("afterwards %d open, %d in total", open, total)
		}
	})
}

func TestRefusalReachesTheClient(t *testing.T) {
	for _, r := range proxy.Reasons() {
		inBubble(t, func(t *testing.T, s *stage) {
			s.servers.Refuse(address("server.test:80"), r)
			client, p := s.start("early")
			line := s.last(t)
			if len(p.refused) != 1 || p.refused[0] != r || !p.accepted.IsZero() {
				t.Errorf("refused with %v, want %v once", p.refused, r)
			}
			if line["msg"] != "session refused" || line["reason"] != r.String() || line["err"] == nil {
				t.Errorf("log %v", line)
			}
			client.Close()
		})
	}
}

// The client went away while the server was dialled: the server must not take that
// for an orderly end.
func TestLostClientIsAResetForTheServer(t *testing.T) {
	inBubble(t, func(t *testing.T, s *stage) {
		var server error
		s.servers.Handle(address("server.test:80"), func(c proxy.Conn) { _, server = io.Copy(io.Discard, c) })
		s.gone = errors.New("client has gone")
		client, _ := s.start("")
		client.Close()
		line := s.last(t)
		if !errors.Is(server, syscall.ECONNRESET) {
			t.Errorf("the server reads %v, want a reset", server)
		}
		if line["msg"] != "session lost" || line["err"] != "client has gone" {
			t.Errorf("log %v", line)
		}
	})
}

func TestEarlyDataLeavesWithTheRequest(t *testing.T) {
	const wait = 5 * time.Millisecond
	for _, c := range []struct {
		name   string
		before string        // came with the request
		after  time.Duration // when the client speaks; negative is never
		early  string        // what the dialer gets
		answer time.Duration // when the client is told
	}{
		{"with the request", "question", -1, "question", rtt},
		{"at once", "", 0, "question", 0},
		{"just in time", "", wait - time.Millisecond, "question", 0},
		{"too late", "", wait + time.Millisecond, "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, s *stage) {
				s.servers.Handle(address("server.test:80"), proxytest.Echo)
				s.Sessions.Early = func(*proxy.Request) time.Duration { return wait }
				client, p := s.start(c.before)
				if c.after >= 0 {
					time.Sleep(c.after)
					fmt.Fprint(client, "question")
				}
				time.Sleep(time.Second)
				synctest.Wait()
				if s.req.Early != nil {
					t.Errorf("an idle session holds %d bytes", cap(s.req.Early))
				}
				client.CloseWrite()
				wantAll(t, client, "+question")
				line := s.last(t)
				if d := s.servers.Dialed(); len(d) != 1 || d[0].Early != c.early {
					t.Errorf("dialled %v, want %q", d, c.early)
				}
				if got := p.accepted.Sub(s.began); got != c.answer {
					t.Errorf("told after %v, want %v", got, c.answer)
				}
				if line["up"] != 8.0 || line["down"] != 8.0 {
					t.Errorf("log %v", line)
				}
			})
		})
	}
}

// A client that was told that its stream is open can be told of the failure in no
// other way.
func TestFailureAfterAnEarlyAnswerIsAReset(t *testing.T) {
	inBubble(t, func(t *testing.T, s *stage) {
		s.servers.Refuse(address("server.test:80"), proxy.Refused)
		s.Sessions.Early = func(*proxy.Request) time.Duration { return time.Millisecond }
		client, p := s.start("")
		client.Write([]byte("question"))
		wantReset(t, client)
		if line := s.last(t); line["msg"] != "session refused" || len(p.refused) != 0 {
			t.Errorf("log %v, refused %v", line, p.refused)
		}
	})
}

func TestClientEndsBeforeItSpeaks(t *testing.T) {
	t.Run("end", func(t *testing.T) {
		inBubble(t, func(t *testing.T, s *stage) {
			s.servers.Handle(address("server.test:80"), func(c proxy.Conn) {
				b, err := io.ReadAll(c)
				fmt.Fprintf(c, "got %q, %v", b, err)
			})
			s.Sessions.Early = func(*proxy.Request) time.Duration { return 5 * time.Millisecond }
			client, _ := s.start("")
			client.CloseWrite()
			wantAll(t, client, `+got "", <nil>`)
			s.last(t)
		})
	})
	t.Run("reset", func(t *testing.T) {
		inBubble(t, func(t *testing.T, s *stage) {
			s.Sessions.Early = func(*proxy.Request) time.Duration { return 5 * time.Millisecond }
			client, _ := s.start("")
			client.SetLinger(0)
			client.Close()
			if line := s.last(t); line["msg"] != "session lost" || len(s.servers.Dialed()) != 0 {
				t.Errorf("log %v, dialled %v", line, s.servers.Dialed())
			}
		})
	})
}

// The answer to a client that does not wait for it may be left lying.
func TestAnswerIsHeld(t *testing.T) {
	const hold = 250 * time.Millisecond
	for _, c := range []struct {
		name  string
		early string
		told  bool
		hold  time.Duration
		want  time.Duration
	}{
		{"early data", "question", false, hold, hold},
		{"told", "", true, hold, hold},
		{"waits for it", "", false, hold, 0},
		{"nothing is held here", "question", true, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, s *stage) {
				s.Hold, s.told = c.hold, c.told
				s.servers.Handle(address("server.test:80"), proxytest.Echo)
				client, p := s.start(c.early)
				client.CloseWrite()
				wantAll(t, client, "+"+c.early)
				if p.within != c.want {
					t.Errorf("held for %v, want %v", p.within, c.want)
				}
				s.last(t)
			})
		})
	}
}

func TestEndOfServiceResetsBoth(t *testing.T) {
	inBubble(t, func(t *testing.T, s *stage) {
		var server error
		s.servers.Handle(address("server.test:80"), func(c proxy.Conn) { _, server = io.Copy(io.Discard, c) })
		client, _ := s.start("")
		time.Sleep(time.Second)
		s.end()
		wantReset(t, client)
		if line := s.last(t); !errors.Is(server, syscall.ECONNRESET) || line["err"] != context.Canceled.Error() {
			t.Errorf("the server reads %v, log %v", server, line)
		}
	})
}

func TestIdleSessionEnds(t *testing.T) {
	inBubble(t, func(t *testing.T, s *stage) {
		s.Idle = time.Hour
		s.servers.Handle(address("server.test:80"), proxytest.Echo)
		client, _ := s.start("")
		for range 3 { // a sign of life in time
			time.Sleep(50 * time.Minute)
			fmt.Fprint(client, ".")
		}
		time.Sleep(50 * time.Minute)
		if open, _ := s.Counts(); open != 1 {
			t.Error("ended although it was used")
		}
		s.last(t)
		if took := time.Since(s.began); took < 3*50*time.Minute+time.Hour || took > 3*50*time.Minute+2*time.Hour {
			t.Errorf("ended after %v", took)
		}
		client.Close()
	})
}
