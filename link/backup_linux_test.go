package link

import (
	"context"
	"io"
	"net"
	"testing"
	"time"

	"tributary/mptcp/pm"
)

// TestKernelBeginsOverBackup begins connections over a link that stands by, beside the
// other one and while that is lost: the kernel tells the other side so of the first
// subflow too, once another one is there, and nobody has to set the flag again.
func TestKernelBeginsOverBackup(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	f := twoLinks(t)
	server := f.echo(t)
	m, err := New(Config{StateDir: t.TempDir(), Wanted: []Wanted{{Name: "dsl"}, {Name: "lte", Mode: Backup}}})
	must(t, err)
	defer serve(t, m)()
	beginsOverBackup(t, server, func() {})
	must(t, m.Steer(map[string]Part{"dsl": {Role: Out, Lost: true}}))
	beginsOverBackup(t, server, func() {
		time.Sleep(200 * time.Millisecond)
		must(t, m.Steer(nil))
	})
}

// beginsOverBackup has a connection begin over LTE; then is called when it stands.
func beginsOverBackup(t *testing.T, server string, then func()) {
	t.Helper()
	ev, err := pm.Subscribe()
	must(t, err)
	defer ev.Close()
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
	echo(1)
	then()
	for {
		e, err := ev.Next(ctx)
		if err != nil {
			t.Fatalf("the other link does not join: %v", err)
		}
		if e.Kind == pm.SubflowEstablished && e.Local.Addr().String() == "10.0.1.2" {
			break
		}
	}
	time.Sleep(200 * time.Millisecond) // for MP_PRIO
	carried := func() (up, down uint64) {
		s := mustLink(t, "lte").Attrs().Statistics
		return s.TxBytes, s.RxBytes
	}
	up0, down0 := carried()
	echo(4 << 20)
	up, down := carried()
	if up, down = up-up0, down-down0; up > 512<<10 || down > 512<<10 {
		t.Errorf("the link that stands by carried %d up and %d down of 4 MiB", up, down)
	}
}
