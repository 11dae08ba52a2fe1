package relay

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"tributary/account"
	"tributary/proto/shadowsocks"
	"tributary/proxy"
	"tributary/proxy/proxytest"
	"tributary/splice"
)

func withShadowsocks(c *Config) { c.Shadowsocks = netip.MustParseAddrPort("127.0.0.1:0") }

// sealedClient is a client's side of a stream; own is a gateway of ours.
func (r *testRelay) sealedClient(t testing.TB, to proxy.Addr, own bool) *shadowsocks.Client {
	t.Helper()
	id, err := loadIdentity(r.config.StateDir)
	if err != nil {
		t.Fatal(err)
	}
	return shadowsocks.NewClient(shadowsocks.IdentityKey(id.pin), r.account.Secret.Key(), to, own, time.Now)
}

// knock returns a client's end of a connection to the Shadowsocks port.
func (r *testRelay) knock() *proxytest.End {
	near, far := proxytest.Wire(oneWay)
	r.clients.Go(func() { r.ServeShadowsocks(r.live, far) })
	return near
}

func TestShadowsocksSession(t *testing.T) {
	for _, own := range []bool{true, false} {
		for _, early := range []string{"", "early ", strings.Repeat("much ", 20_000)} {
			t.Run(fmt.Sprintf("own %v, %d bytes early", own, len(early)), func(t *testing.T) {
				inBubble(t, withShadowsocks, func(t *testing.T, r *testRelay) {
					to := address("server.test:443")
					r.servers.Handle(to, func(c proxy.Conn) {
						b, err := io.ReadAll(c)
						fmt.Fprintf(c, "%d bytes, %v", len(b), err)
						c.CloseWrite()
						io.Copy(io.Discard, c)
					})
					c := splice.Sealed(r.knock(), nil, r.sealedClient(t, to, own))
					c.Write([]byte(early))
					if own {
						began := time.Now()
						if err := shadowsocks.ReadOutcome(c); err != nil {
							t.Fatal(err)
						}
						if took := time.Since(began); early == "" && took != 4*oneWay {
							t.Errorf("the answer took %v", took)
						}
					}
					fmt.Fprint(c, "late")
					c.CloseWrite()
					want := fmt.Sprintf("%d bytes, <nil>", len(early)+4)
					if b, err := io.ReadAll(c); string(b) != want || (err != nil) {
						t.Errorf("read %q, %v, want %q", b, err, want)
					}
					c.Close()
					time.Sleep(time.Second)
					if log := r.log.String(); !strings.Contains(log, "inbound=shadowsocks") || !strings.Contains(log, "account=default") {
						t.Errorf("log: %s", log)
					}
				})
			})
		}
	}
}

func TestShadowsocksRefusals(t *testing.T) {
	for _, reason := range proxy.Reasons() {
		for _, own := range []bool{true, false} {
			t.Run(fmt.Sprintf("%v, own %v", reason, own), func(t *testing.T) {
				inBubble(t, withShadowsocks, func(t *testing.T, r *testRelay) {
					to := address("server.test:443")
					r.servers.Refuse(to, reason)
					c := splice.Sealed(r.knock(), nil, r.sealedClient(t, to, own))
					began := time.Now()
					go c.Write([]byte(strings.Repeat("early", 10_000))) // more than is read
					err := shadowsocks.ReadOutcome(c)
					if own && proxy.ReasonOf(err) != reason {
						t.Errorf("got %v", err)
					}
					if !own && !errors.Is(err, syscall.ECONNRESET) {
						t.Errorf("got %v, want a reset", err)
					}
					if took := time.Since(began); took != 4*oneWay {
						t.Errorf("refused after %v", took)
					}
					c.Close()
				})
			})
		}
	}
}

func TestShadowsocksAccountLimit(t *testing.T) {
	inBubble(t, func(c *Config) { withShadowsocks(c); c.PerAccount = 1 }, func(t *testing.T, r *testRelay) {
		to := address("server.test:443")
		r.servers.Handle(to, proxytest.Echo)
		first := splice.Sealed(r.knock(), nil, r.sealedClient(t, to, true))
		first.Write(nil)
		if err := shadowsocks.ReadOutcome(first); err != nil {
			t.Fatal(err)
		}
		second := splice.Sealed(r.knock(), nil, r.sealedClient(t, to, true))
		second.Write(nil)
		if err := shadowsocks.ReadOutcome(second); proxy.ReasonOf(err) != proxy.Overloaded {
			t.Errorf("got %v", err)
		}
		second.Close()
		first.Close()
	})
}

// Whatever a stranger sends, it sees a reset, and no byte.
func TestShadowsocksStrangers(t *testing.T) {
	for _, c := range []struct {
		name string
		send func(r *testRelay, opening []byte) []byte
		most time.Duration
	}{
		{"nothing", func(r *testRelay, o []byte) []byte { return nil }, handshakeTime},
		{"one byte", func(r *testRelay, o []byte) []byte { return o[:1] }, time.Second},
		{"half the headers", func(r *testRelay, o []byte) []byte { return o[:shadowsocks.HeadSize-1] }, time.Second},
		{"garbage", func(r *testRelay, o []byte) []byte { return bytes.Repeat([]byte("garbage "), 9) }, time.Second},
		{"much garbage", func(r *testRelay, o []byte) []byte { return bytes.Repeat([]byte("garbage "), 1000) }, time.Second},
		{"HTTP", func(r *testRelay, o []byte) []byte {
			return []byte("GET / HTTP/1.1\r\nHost: relay.test\r\nUser-Agent: something of some length\r\n\r\n")
		}, time.Second},
		{"TLS", func(r *testRelay, o []byte) []byte { return hello() }, time.Second},
		{"a changed salt", func(r *testRelay, o []byte) []byte { o[0] ^= 1; return o }, time.Second},
		{"a changed header", func(r *testRelay, o []byte) []byte { o[shadowsocks.HeadSize-1] ^= 1; return o }, time.Second},
		{"a changed address", func(r *testRelay, o []byte) []byte { o[len(o)-1] ^= 1; return o }, time.Second},
		{"a cut address", func(r *testRelay, o []byte) []byte { return o[:len(o)-1] }, handshakeTime},
		{"a removed account", func(r *testRelay, o []byte) []byte {
			if err := r.config.Accounts.Remove(account.Default); err != nil {
				panic(err)
			}
			return o
		}, time.Second},
		{"an account removed after use", func(r *testRelay, o []byte) []byte {
			first := r.knock()
			first.Write(o)
			time.Sleep(time.Second)
			first.Close()
			id, _ := loadIdentity(r.config.StateDir)
			key := shadowsocks.Key(r.account.Secret.Key())
			if err := r.config.Accounts.Remove(account.Default); err != nil {
				panic(err)
			}
			time.Sleep(time.Second)
			o, _ = shadowsocks.NewClient(shadowsocks.IdentityKey(id.pin), key, address("192.0.2.80:80"), true, time.Now).Seal(nil, nil)
			return o
		}, time.Second},
		{"a recorded opening", func(r *testRelay, o []byte) []byte {
			first := r.knock()
			first.Write(o)
			time.Sleep(time.Second)
			first.Close()
			time.Sleep(time.Second)
			return o
		}, time.Second},
		{"an old opening", func(r *testRelay, o []byte) []byte { time.Sleep(31 * time.Second); return o }, time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, withShadowsocks, func(t *testing.T, r *testRelay) {
				opening, _ := r.sealedClient(t, address("192.0.2.80:80"), true).Seal(nil, []byte("early"))
				send := c.send(r, opening)
				before := len(r.servers.Dialed())
				conn := r.knock()
				began := time.Now()
				conn.Write(send)
				n, err := conn.Read(make([]byte, 100))
				if n > 0 || !errors.Is(err, syscall.ECONNRESET) {
					t.Errorf("reads %d bytes, %v, want a reset", n, err)
				}
				if took := time.Since(began); took > c.most+time.Second/5 {
					t.Errorf("closed after %v", took)
				}
				if len(r.servers.Dialed()) > before {
					t.Error("a connection was opened")
				}
				conn.Close()
			})
		})
	}
}

// Ten thousand recorded openings, replayed to the relay that took them, to the one
// that follows after a good stop, and to those that follow after crashes.
func TestReplayedOpenings(t *testing.T) {
	const openings = 10_000
	inBubble(t, withShadowsocks, func(t *testing.T, r *testRelay) {
		to := address("server.test:443")
		r.servers.Refuse(to, proxy.Refused)
		var recorded [][]byte
		for i := range openings {
			if i%1000 == 0 { // within the account's limit
				time.Sleep(time.Second)
			}
			opening, _ := r.sealedClientFast(t, to).Seal(nil, []byte("early"))
			recorded = append(recorded, opening)
			c := r.knock()
			c.Write(opening)
			c.Close()
		}
		time.Sleep(5 * time.Second)
		if n := len(r.servers.Dialed()); n != openings {
			t.Fatalf("%d of %d openings were taken", n, openings)
		}
		replay := func(what string, r *Relay) {
			for _, opening := range recorded {
				near, far := proxytest.Wire(0)
				near.Write(opening)
				r.ServeShadowsocks(context.Background(), far)
				if n, err := near.Read(make([]byte, 1)); n > 0 || !errors.Is(err, syscall.ECONNRESET) {
					t.Fatalf("%s: read %d, %v", what, n, err)
				}
				near.Close()
			}
			if n := len(r.config.Egress.(*proxytest.Servers).Dialed()); n != openings {
				t.Fatalf("%s: %d connections were opened", what, n-openings)
			}
		}
		restart := func() *Relay {
			again, err := New(r.config)
			if err != nil {
				t.Fatal(err)
			}
			again.listener.Close()
			if again.shadow.listener != nil {
				again.shadow.listener.Close()
			}
			return again
		}
		replay("at once", r.Relay)
		if err := r.shadow.stopMemo(r.config.StateDir); err != nil {
			t.Fatal(err)
		}
		second := restart()
		replay("after a restart", second)
		time.Sleep(20 * time.Second)
		replay("after a restart, later", second)
		third := restart() // second did not stop well
		if third.shadow.listener != nil {
			t.Error("the port is open right after a crash")
		}
		replay("after a crash", third)
		if wait := third.shadow.wait(); wait < shadowsocks.Window*time.Second || wait > (shadowsocks.Window+1)*time.Second+clockLag {
			t.Errorf("the port opens after %v", wait)
		}
	})
}

// sealedClientFast reads no key file.
func (r *testRelay) sealedClientFast(_ testing.TB, to proxy.Addr) *shadowsocks.Client {
	return shadowsocks.NewClient(r.shadow.server.Identity, r.account.Secret.Key(), to, true, time.Now)
}

func TestShadowsocksMemo(t *testing.T) {
	dir := t.TempDir()
	now := time.Unix(1000, 0)
	start := func(want int64) {
		t.Helper()
		if floor, err := startMemo(dir, 8388, now); err != nil || floor != want {
			t.Fatalf("floor %d, %v, want %d", floor, err, want)
		}
	}
	stop := func(newest int64) {
		t.Helper()
		if err := (&shadow{addr: netip.MustParseAddrPort("[::]:8388"), server: shadowsocks.Server{Replay: shadowsocks.NewReplay(newest)}}).stopMemo(dir); err != nil {
			t.Fatal(err)
		}
	}
	start(0)    // the first
	start(1030) // after a crash
	stop(990)
	if err := noShadow(dir); err != nil {
		t.Fatal(err)
	}
	if m, _ := readMemo(dir); m == nil || m.Port != 0 {
		t.Errorf("off: %+v", m)
	}
	start(990) // after a good stop, and a time without
	if err := noShadow(dir); err != nil {
		t.Fatal(err)
	}
	start(1030) // a crash before the time without
	stop(5000)  // a clock that was wrong
	start(1030)
	if err := os.WriteFile(filepath.Join(dir, memoFile), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	start(1030) // damaged
}

// While something recorded before could be replayed the port is closed; then it
// opens by itself.
func TestShadowsocksPortOpensLater(t *testing.T) {
	newest := time.Now().Unix() + 1
	s := serve(t, func(c *Config) {
		withShadowsocks(c)
		if err := writeMemo(c.StateDir, memo{Port: 8388, Newest: &newest}); err != nil {
			t.Fatal(err)
		}
	})
	at := s.Shadowsocks().String()
	if c, err := net.Dial("tcp", at); err == nil {
		c.Close()
		t.Error("the port is open at once")
	}
	for {
		if c, err := net.Dial("tcp", at); err == nil {
			c.Close()
			break
		}
		if time.Now().Unix() > newest+10 {
			t.Fatal("the port does not open")
		}
		time.Sleep(20 * time.Millisecond)
	}
	if now := time.Now().Unix(); now <= newest {
		t.Errorf("opened at %d, want after %d", now, newest)
	}
	s.stop()
	s.wait(t)
}

// A removed account is none, even for who knows its hash: there is no key to try.
func TestShadowsocksUser(t *testing.T) {
	inBubble(t, withShadowsocks, func(t *testing.T, r *testRelay) {
		hash := shadowsocks.UserHash(r.account.Secret.Key())
		name, key, ok := r.shadow.user(hash)
		if !ok || name != account.Default || key != r.account.Secret.Key() {
			t.Errorf("user %q, %v", name, ok)
		}
		added, err := r.config.Accounts.Add("ada")
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(rosterRefresh)
		if name, _, ok := r.shadow.user(shadowsocks.UserHash(added.Secret.Key())); !ok || name != "ada" {
			t.Errorf("user %q, %v, want the new one", name, ok)
		}
		if err := r.config.Accounts.Remove(account.Default); err != nil {
			t.Fatal(err)
		}
		if _, _, ok := r.shadow.user(hash); ok {
			t.Error("a removed account is found")
		}
		if _, err := r.config.Accounts.Add(account.Default); err != nil {
			t.Fatal(err)
		}
		if _, _, ok := r.shadow.user(hash); ok {
			t.Error("an account made anew has its old hash")
		}
	})
}

func TestShadowsocksPort(t *testing.T) {
	s := serve(t, withShadowsocks)
	to := address("server.test:443")
	s.servers.Handle(to, proxytest.Echo)
	link, err := s.JoinLink(account.Default)
	if err != nil || link.Shadowsocks == 0 || link.Shadowsocks != s.shadow.addr.Port() {
		t.Fatalf("join link %v, %v", link, err)
	}
	raw, err := net.Dial("tcp", s.shadow.addr.String())
	if err != nil {
		t.Fatal(err)
	}
	c := splice.Sealed(raw, nil, s.sealedClient(t, to, true))
	c.Write([]byte("hello"))
	if err := shadowsocks.ReadOutcome(c); err != nil {
		t.Fatal(err)
	}
	c.CloseWrite()
	if b, err := io.ReadAll(c); string(b) != "hello" || err != nil {
		t.Errorf("read %q, %v", b, err)
	}
	c.Close()

	taken := s.config
	taken.StateDir, taken.Listen = t.TempDir(), netip.MustParseAddrPort("127.0.0.1:0")
	taken.Shadowsocks = s.shadow.addr
	var which *ShadowsocksError
	if _, err := New(taken); !errors.As(err, &which) || !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("a port that is taken: %v", err)
	}
	s.stop()
	s.wait(t)
	if m, _ := readMemo(s.config.StateDir); m == nil || m.Newest == nil {
		t.Errorf("after a good stop: %+v", m)
	}
	s.clients.Wait()
	s.servers.Wait()
}
