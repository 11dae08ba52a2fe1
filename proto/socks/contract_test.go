package socks

import (
	"io"
	"testing"

	"tributary/proxy"
	"tributary/proxy/proxytest"
)

func onlyMe(user, password string) (string, bool) {
	return "account of " + user, user == "me" && password == "pass"
}

func TestInbound(t *testing.T) {
	seen5 := func(r proxy.Reason) proxy.Reason { return Reason(Code(r)) }
	seen4 := func(r proxy.Reason) proxy.Reason { return Reason4(Code4(r)) }
	opening4 := func(to proxy.Addr) []byte {
		b, err := AppendRequest4(nil, Message4{Command: Connect, User: "me", To: to})
		if err != nil {
			return nil
		}
		return b
	}
	answer4 := func(r io.Reader) error { _, err := ReadReply4(r); return err }
	opening5 := func(user string) func(proxy.Addr) []byte {
		return func(to proxy.Addr) []byte { return []byte(must(AppendOpening(nil, user, "pass", to, nil))) }
	}
	answer5 := func(user string) func(io.Reader) error {
		return func(r io.Reader) error {
			if err := ReadLogin(r, user); err != nil {
				return err
			}
			_, err := ReadReply(r)
			return err
		}
	}
	open, closed := &Server{}, &Server{Auth: onlyMe}
	for what, in := range map[string]proxytest.Inbound{
		"socks4":                 {Name: "socks4", Accept: open.Accept, Opening: opening4, Answer: answer4, Seen: seen4},
		"socks5":                 {Name: "socks5", Accept: open.Accept, Opening: opening5(""), Answer: answer5(""), Seen: seen5},
		"socks5 with a password": {Name: "socks5", User: "account of me", Accept: closed.Accept, Opening: opening5("me"), Answer: answer5("me"), Seen: seen5},
		"socks5 with a password that nobody asked for": {Name: "socks5", Accept: open.Accept, Opening: opening5("you"), Answer: answer5("you"), Seen: seen5},
	} {
		t.Run(what, func(t *testing.T) { proxytest.TestInbound(t, in) })
	}
}
