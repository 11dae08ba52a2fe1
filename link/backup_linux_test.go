package link

import (
	"context"
	"io"
	"net"
	"testing"
	"time"

	"tributary/mptcp"
)

// TestKernelBeginsOverBackup begins a connection over a link that stands by: the
// kernel tells the other side so of the first subflow too, once another one is there,
// and nobody has to set the flag again.
func TestKernelBeginsOverBackup(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	f := twoLinks(t)
	server := f.echo(t)
	m, err := New(Config{StateDir: t.TempDir(), Wanted: []Wanted{{Name: "dsl"}, {Name: "lte", Mode: Backup}}})
	must(t, err)
	defer serve(t, m)()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(10, 0, 2, 2)}}
	d.SetMultipathTCP(true)
	conn, err := d.DialContext(ctx, "tcp4", server)
	must(t, err)
	defer conn.Close()
	must(t, conn.SetDeadline(time.Now().Add(20*time.Second)))
	echo := func(n int) {
		t.Helper()
		go conn.Write(make([]byte, n))
		_, err := io.ReadFull(conn, make([]byte, n))
		must(t, err)
	}
	carried := func() (dsl, lte mptcp.Subflow) {
		full, err := mptcp.FullInfo(conn.(*net.TCPConn))
		must(t, err)
		for _, s := range full.Subflows {
			switch s.Local.Addr().String() {
			case "10.0.1.2":
				dsl = s
			case "10.0.2.2":
				lte = s
			}
		}
		return dsl, lte
	}
	echo(1)
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if dsl, _ := carried(); dsl.State == mptcp.Established {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the other link does not join")
		}
	}
	time.Sleep(200 * time.Millisecond) // for MP_PRIO
	dsl0, lte0 := carried()
	echo(4 << 20)
	dsl, lte := carried()
	up, down := lte.BytesSent-lte0.BytesSent, lte.BytesReceived-lte0.BytesReceived
	t.Logf("standing by: %d up, %d down; full: %d up, %d down", up, down, dsl.BytesSent-dsl0.BytesSent, dsl.BytesReceived-dsl0.BytesReceived)
	if up > 256<<10 || down > 256<<10 {
		t.Errorf("the link that stands by carried %d up and %d down of 4 MiB", up, down)
	}
}
