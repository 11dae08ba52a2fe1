package link

import (
	"io"
	"net"
	"testing"
)

// What is counted is what went over the line, whoever sent it, within 2 %.
func TestKernelCounters(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	f := twoLinks(t)
	server := f.echo(t)
	m, err := New(Config{StateDir: t.TempDir()})
	must(t, err)
	before, err := m.Counters()
	must(t, err)
	if len(before) != 2 || before["dsl"].ID == before["lte"].ID || before["lte"].Header != ethernetHeader {
		t.Fatalf("%+v", before)
	}

	const size = 8 << 20
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(10, 0, 2, 2)}}
	conn, err := d.DialContext(t.Context(), "tcp4", server)
	must(t, err)
	go func() {
		conn.Write(make([]byte, size))
		conn.(*net.TCPConn).CloseWrite()
	}()
	if n, err := io.Copy(io.Discard, conn); n != size || err != nil {
		t.Fatal(n, err)
	}
	conn.Close()

	after, err := m.Counters()
	must(t, err)
	moved := func(name string) uint64 {
		a, b := after[name], before[name]
		return a.RxBytes - b.RxBytes + a.TxBytes - b.TxBytes - a.Header*(a.RxPackets-b.RxPackets+a.TxPackets-b.TxPackets)
	}
	if n := moved("lte"); after["lte"].ID != before["lte"].ID || n < 2*size || n > 2*size*102/100 {
		t.Errorf("%d bytes, want %d and at most 2 %% more", n, 2*size)
	}
	if n := moved("dsl"); n > size/100 {
		t.Errorf("%d bytes on the other link", n)
	}
	must(t, m.Close())
	if _, err := m.Counters(); err == nil {
		t.Error("a closed manager counts")
	}
}
