package proxy_test

import (
	"io"
	"testing"
	"time"

	"tributary/proxy"
	"tributary/proxy/proxytest"
)

// What a session says of itself while it runs, its rates among that: they are of the
// time since the last mark but one, whenever it is asked.
func TestOpenSessions(t *testing.T) {
	inBubble(t, func(t *testing.T, s *stage) {
		s.servers.Handle(address("server.test:80"), func(c proxy.Conn) {
			proxytest.Echo(c)
			io.Copy(io.Discard, c)
		})
		client, _ := s.start("early")
		time.Sleep(rtt / 2) // the server is being dialled
		all := s.All(time.Now())
		if len(all) != 1 || all[0].Server != nil || all[0].Setup != 0 || all[0].Up != 0 {
			t.Errorf("while it opens: %+v", all)
		}
		time.Sleep(time.Second)
		s.Mark(time.Now()) // 5 bytes up, 5 down
		client.Write(make([]byte, 1000))
		time.Sleep(time.Second)
		s.Mark(time.Now())
		client.Write(make([]byte, 300))
		time.Sleep(time.Second / 2)
		all = s.All(time.Now())
		if len(all) != 1 {
			t.Fatalf("%d sessions", len(all))
		}
		o := all[0]
		if o.ID != 1 || o.From != s.req.From || o.To != s.req.To || o.User != "alice" || o.Inbound != "test" || !o.Start.Equal(s.began) {
			t.Errorf("%+v", o)
		}
		if o.Server == nil || o.Setup != rtt || o.Up != 1305 || o.Down != 1305 {
			t.Errorf("%+v", o)
		}
		if want := 1300 / 1.5; o.UpRate != want || o.DownRate != want {
			t.Errorf("rates %v up, %v down; want %v", o.UpRate, o.DownRate, want)
		}
		client.CloseWrite()
		wantAll(t, client, "+early"+string(make([]byte, 1300)))
		s.last(t)
		if all := s.All(time.Now()); len(all) != 0 {
			t.Errorf("afterwards %+v", all)
		}
	})
}
