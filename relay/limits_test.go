package relay

import (
	"errors"
	"net/netip"
	"os"
	"testing"
	"time"

	"tributary/account"
	"tributary/proto/socks"
	"tributary/proxy"
	"tributary/proxy/proxytest"
)

func TestLimits(t *testing.T) {
	l := limits{total: 2 * strangerShare, perAccount: 2}
	for i, want := range []bool{true, true, false} {
		if l.enter() != want {
			t.Errorf("number %d came in: %v", i+1, !want)
		}
	}
	l.leave()
	if !l.enter() {
		t.Error("a place that was left is not free")
	}
	for _, name := range []string{"a", "b"} {
		for i, want := range []bool{true, true, false} {
			if l.enterAccount(name) != want {
				t.Errorf("number %d of account %s came in: %v", i+1, name, !want)
			}
		}
	}
	l.leaveAccount("a")
	if !l.enterAccount("a") || l.enterAccount("b") {
		t.Error("one account's place went to another")
	}
	l.leaveAccount("a")
	l.leaveAccount("a")
	if _, kept := l.byAccount["a"]; kept {
		t.Error("an account without connections is remembered")
	}
}

// Strangers fill their share and no more: whoever logs in makes room.
func TestStrangersHaveAShare(t *testing.T) {
	l := limits{total: 2 * strangerShare, perAccount: 100}
	for i := range 2 * strangerShare {
		if i >= 2 {
			if l.enter() {
				t.Fatalf("stranger %d came in beside two others", i+1)
			}
			l.enterAccount("a")
		}
		if !l.enter() {
			t.Fatalf("number %d did not come in", i+1)
		}
	}
	l.enterAccount("a")
	if l.enter() {
		t.Error("more came in than there is room for")
	}
}

// Over an account's limit the client is told so, once it has asked; another place
// is free as soon as a connection ends.
func TestAccountLimit(t *testing.T) {
	inBubble(t, func(c *Config) { c.PerAccount = 2 }, func(t *testing.T, r *testRelay) {
		r.servers.Handle(address("server.test:80"), proxytest.Echo)
		first, firstBelow := r.connectTLS(t)
		second, secondBelow := r.connectTLS(t)
		first.Write(r.login(t, r.account.Secret.Text()))
		second.Write(r.login(t, r.account.Secret.Text()))
		time.Sleep(time.Second)
		if err := r.echoes(t); proxy.ReasonOf(err) != socks.Reason(socks.Code(proxy.Overloaded)) {
			t.Errorf("third: %v", err)
		}
		first.Close()
		firstBelow.Close()
		time.Sleep(time.Second)
		if err := r.echoes(t); err != nil {
			t.Errorf("third, after the first has gone: %v", err)
		}
		second.Close()
		secondBelow.Close()
	})
}

// A login beyond the account's limit does not earn the patience that a warm
// connection has: else one account could hold every place.
func TestLoginsBeyondTheLimitDoNotStay(t *testing.T) {
	inBubble(t, func(c *Config) { c.PerAccount = 1 }, func(t *testing.T, r *testRelay) {
		var below []*proxytest.End
		for range 5 {
			c, end := r.connectTLS(t)
			c.Write(r.login(t, r.account.Secret.Text()))
			below = append(below, end)
		}
		time.Sleep(handshakeTime + time.Second)
		open := 0
		for _, end := range below {
			end.SetReadDeadline(time.Now().Add(time.Second))
			var err error
			for err == nil {
				_, err = end.Read(make([]byte, 4096))
			}
			if errors.Is(err, os.ErrDeadlineExceeded) {
				open++
			}
			end.Close()
		}
		if open != 1 {
			t.Errorf("%d of 5 connections stay, want the one that the account may have", open)
		}
	})
}

// A wrong password takes no place.
func TestStrangersTakeNoPlace(t *testing.T) {
	inBubble(t, func(c *Config) { c.PerAccount = 1 }, func(t *testing.T, r *testRelay) {
		r.servers.Handle(address("server.test:80"), proxytest.Echo)
		stranger, below := r.connectTLS(t)
		stranger.Write(r.login(t, "wrong"))
		time.Sleep(time.Second)
		if err := r.echoes(t); err != nil {
			t.Error(err)
		}
		below.Close()
	})
}

// Clear text is for the networks that the configuration trusts, and even there for
// accounts only.
func TestClearText(t *testing.T) {
	trust := func(prefixes ...string) func(*Config) {
		return func(c *Config) {
			for _, p := range prefixes {
				c.TrustClear = append(c.TrustClear, netip.MustParsePrefix(p))
			}
		}
	}
	for _, c := range []struct {
		name, password string // "" is the right one
		config         func(*Config)
		ok             bool
	}{
		{"no network", "", nil, false},
		{"another network", "", trust("198.51.100.0/24", "2001:db8::/32"), false},
		{"its network", "", trust("198.51.100.0/24", "192.0.2.0/24"), true},
		{"its address", "", trust("192.0.2.1/32"), true},
		{"its network, wrong password", "wrong", trust("192.0.2.0/24"), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, c.config, func(t *testing.T, r *testRelay) {
				r.servers.Handle(address("server.test:80"), proxytest.Echo)
				password := c.password
				if password == "" {
					password = r.account.Secret.Text()
				}
				conn := r.connect()
				conn.SetDeadline(time.Now().Add(time.Minute))
				b, err := socks.AppendOpening(nil, account.Default, password, address("server.test:80"), nil)
				if err != nil {
					t.Fatal(err)
				}
				conn.Write(b)
				if err = socks.ReadLogin(conn, account.Default); err == nil {
					_, err = socks.ReadReply(conn)
				}
				if (err == nil) != c.ok {
					t.Errorf("answer %v", err)
				}
				conn.Close()
			})
		})
	}
}
