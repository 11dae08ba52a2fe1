package main

import (
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"tributary/gateway"
	"tributary/proxy"
	"tributary/proxy/proxytest"
	"tributary/splice"
)

// What a cold request carries of a client's goes again when its connection breaks,
// and reaches the server once: the relay knows the request by its name.
func TestColdRequestsMove(t *testing.T) {
	for name, c := range map[string]struct {
		lost  bool          // on its way; else the relay has opened the stream
		after time.Duration // it breaks
		want  string
	}{
		"before it was there": {true, 10 * time.Millisecond, "early late"},
		"after that":          {false, rtR/2 + 5*time.Millisecond, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, gateway.Auto)
				to, _ := proxy.ParseAddr("server.test:443")
				w.servers.Handle(to, proxytest.Echo)
				w.cool()
				before := len(w.ends)
				w.losing = c.lost
				conn := w.client()
				defer conn.Close()
				if err := socks5Client(conn, to); err != nil {
					t.Fatal(err)
				}
				fmt.Fprint(conn, "early ")
				time.Sleep(rtR + 5*time.Millisecond + c.after) // the dial, the wait for first bytes, and that
				fmt.Fprint(conn, "late")
				conn.CloseWrite()
				w.losing = false
				if n := len(w.ends) - before; n != 1 {
					t.Fatalf("%d connections", n)
				}
				splice.Abort(w.ends[before])
				conn.SetReadDeadline(time.Now().Add(20 * time.Second))
				got, err := io.ReadAll(conn)
				if string(got) != c.want || (err == nil) != (c.want != "") {
					t.Errorf("read %q, %v, want %q", got, err, c.want)
				}
				if n := w.dialled(to); n != 1 {
					t.Errorf("the server was dialled %d times", n)
				}
			})
		})
	}
}

// A relay that has started anew does not know the name of a request that was made for
// its last run, and has opened nothing: the request goes again.
func TestColdRequestToAnotherRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, gateway.Auto)
		to, _ := proxy.ParseAddr("server.test:443")
		w.servers.Handle(to, proxytest.Echo)
		w.cool()
		w.restart()
		time.Sleep(2 * time.Minute) // or it would take no opening by Shadowsocks
		conn := w.client()
		defer conn.Close()
		began := time.Now()
		if err := socks5Client(conn, to); err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(conn, "early")
		conn.CloseWrite()
		got, err := io.ReadAll(conn)
		if string(got) != "early" || err != nil {
			t.Errorf("read %q, %v", got, err)
		}
		if took, most := time.Since(began), 4*rtR+4*rtP; took > most {
			t.Errorf("%v, want at most %v: one flight more", took, most)
		}
		if n := w.dialled(to); n != 1 {
			t.Errorf("the server was dialled %d times", n)
		}
	})
}
