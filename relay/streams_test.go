package relay_test

import (
	"crypto/tls"
	"io"
	"net"
	"testing"
	"time"

	"tributary/proto/socks"
	"tributary/proxy"
	"tributary/splice"
)

// A gateway may ask for the next stream as soon as both directions of the last one
// have ended: the relay may not have noticed yet, and must not hang up on it.
func TestNextRequestIsRightBehindTheEnd(t *testing.T) {
	r, l := startRelay(t)
	to := startSource(t, false, func(c net.Conn) { io.WriteString(c, "bye") })
	for _, together := range []bool{false, true} {
		c := splice.ClientTLS(dial(t, true, r.Addr()), &tls.Config{
			MinVersion: tls.VersionTLS13, InsecureSkipVerify: true, NextProtos: []string{socks.ALPN},
		})
		defer splice.Abort(c)
		c.SetDeadline(time.Now().Add(5 * time.Second))
		login, err := socks.AppendLogin(nil, l.Account, l.Secret.Text())
		if err != nil {
			t.Fatal(err)
		}
		c.Write(login)
		if err := socks.ReadLogin(c, l.Account); err != nil {
			t.Fatal(err)
		}
		request := socks.AppendOwn(nil, false, proxy.Flow{}, proxy.IPAddr(to), nil)
		request = append([]byte{0, 0, byte(len(request))}, request...)
		end := []byte{0, 0, 0}
		c.Write(request)
		for i := range 20 {
			stream := splice.Framed(c, nil, nil, nil)
			if _, err := socks.ReadReply(stream); err != nil {
				t.Fatalf("together %v, stream %d: %v", together, i, err)
			}
			if got, err := io.ReadAll(stream); err != nil || string(got) != "bye" {
				t.Fatalf("together %v, stream %d: read %q, %v", together, i, got, err)
			}
			if together {
				c.Write(append(end, request...)) // in one record
			} else {
				c.Write(end)
				c.Write(request)
			}
		}
	}
}
