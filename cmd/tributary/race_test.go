package main

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"tributary/gateway"
	"tributary/proxy"
	"tributary/proxy/proxytest"
)

// What a client sends while two connections ask for its stream reaches the server
// once, in order and whole, whichever of them wins.
func TestBytesDuringARace(t *testing.T) {
	for name, before := range map[string]func(*world){"both alive": (*world).race, "the first lost": (*world).lose} {
		for _, size := range []int{3, 20_000, 60_000, 200_000} {
			for _, pause := range []time.Duration{0, 7 * time.Millisecond, 45 * time.Millisecond} {
				t.Run(fmt.Sprintf("%s, %d bytes, %v apart", name, size, pause), func(t *testing.T) {
					if name != "both alive" && size > 64<<10 && pause < rtR {
						t.Skip("more than is kept has gone to the dead link before anybody could know")
					}
					synctest.Test(t, func(t *testing.T) {
						w := newWorld(t, gateway.Auto)
						before(w)
						to, _ := proxy.ParseAddr("server.test:443")
						w.servers.Handle(to, proxytest.Echo)
						conn := w.client()
						defer conn.Close()
						if err := socks5Client(conn, to); err != nil {
							t.Fatal(err)
						}
						want := make([]byte, size)
						for i := range want {
							want[i] = byte(i ^ i>>8)
						}
						go func() {
							for part := range slices.Chunk(want, 1+size/5) {
								conn.Write(part)
								time.Sleep(pause)
							}
							conn.CloseWrite()
						}()
						conn.SetReadDeadline(time.Now().Add(20 * time.Second))
						got, err := io.ReadAll(conn)
						if err != nil || !bytes.Equal(got, want) {
							t.Errorf("%d bytes, %v; want %d", len(got), err, len(want))
						}
						if n := w.dialled(to); n != 1 {
							t.Errorf("the server was dialled %d times", n)
						}
					})
				})
			}
		}
	}
}
