package relay

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"tributary/proto/socks"
	"tributary/proxy"
	"tributary/speed"
)

// Links are measured against the relay itself, by accounts and counted as theirs.
func TestSpeed(t *testing.T) {
	s := serve(t, func(c *Config) { c.Speed = true })
	c := s.session(t, speed.Addr())
	fmt.Fprint(c, "GET /down?bytes=3000000 HTTP/1.1\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	n, err := io.Copy(io.Discard, resp.Body)
	if n != 3e6 || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
	c.Close()
	eventually(t, "the session is logged", func() bool {
		return strings.Contains(s.log.String(), "account=default") && strings.Contains(s.log.String(), "to="+speed.Addr().String())
	})
}

// Where the operator does not want that, the name is dialled as any other, and leads
// nowhere.
func TestNoSpeed(t *testing.T) {
	var dialled []proxy.Addr
	s := serve(t, func(c *Config) {
		c.Egress = proxy.DialerFunc(func(_ context.Context, to proxy.Addr, _ []byte) (proxy.Conn, error) {
			dialled = append(dialled, to)
			return nil, &proxy.Error{Reason: proxy.NameNotFound, Err: errors.New("no such host")}
		})
	})
	c := tls.Client(s.dial(t), &tls.Config{InsecureSkipVerify: true})
	b, _ := socks.AppendOpening(nil, s.account.Name, s.account.Secret.Text(), speed.Addr(), nil)
	if _, err := c.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := socks.ReadLogin(c, s.account.Name); err != nil {
		t.Fatal(err)
	}
	if _, err := socks.ReadReply(c); proxy.ReasonOf(err) != proxy.HostUnreachable && proxy.ReasonOf(err) != proxy.NameNotFound {
		t.Errorf("the reply is %v", err)
	}
	if len(dialled) != 1 || dialled[0] != speed.Addr() {
		t.Errorf("dialled %v", dialled)
	}
}
