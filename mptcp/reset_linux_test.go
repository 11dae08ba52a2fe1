package mptcp

import (
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// kinds are the three kinds of connection that callers meet.
var kinds = []struct {
	name            string
	dialer, relay   bool // what each asks for
	off, wantResult bool
}{
	{name: "multipath", dialer: true, relay: true, wantResult: true},
	{name: "plain", dialer: false, relay: false},
	{name: "fallback", dialer: true, relay: true, off: true},
}

// eachKind runs fn with a connection of each kind between two namespaces.
func eachKind(t *testing.T, fn func(t *testing.T, client, server *net.TCPConn)) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			home, far := newNamespace(t), newNamespace(t)
			link(t, "dsl", home, "10.0.1.1/24", far, "10.0.1.2/24")
			if k.off {
				far.sysctl(t, "mptcp/enabled", "0")
			}
			client, server := pair(t, home, Dialer{Multipath: k.dialer}, far.listen(t, ":0", k.relay), "10.0.1.2")
			if IsMultipath(client) != k.wantResult {
				t.Fatalf("multipath is %v", !k.wantResult)
			}
			fn(t, client, server)
		})
	}
}

// TestReset sees that SO_LINGER 0 and Close reach the peer as a reset, and that
// the peer's socket still answers questions then.
func TestReset(t *testing.T) {
	eachKind(t, func(t *testing.T, client, server *net.TCPConn) {
		move(t, client, server, 1000)
		wantAcked(t, "before", client, 1004)
		multipath := IsMultipath(client)
		server.SetLinger(0)
		server.Close()
		client.SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, err := client.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("read: %v, want ECONNRESET", err)
		}
		wantAcked(t, "after", client, 1004)
		if IsMultipath(client) != multipath {
			t.Error("a reset made it", !multipath)
		}
		full := mustFull(t, client)
		if full.BytesSent != 1004 || full.BytesReceived != 4 {
			t.Errorf("%+v", full)
		}
		if _, err := TCPInfo(client); err != nil {
			t.Error(err)
		}
		client.Close()
		if n, err := Acked(client); !errors.Is(err, net.ErrClosed) {
			t.Errorf("of a closed socket: %d, %v", n, err)
		}
		if f, err := FullInfo(client); !errors.Is(err, net.ErrClosed) {
			t.Errorf("of a closed socket: %+v, %v", f, err)
		}
	})
}

// TestAckedEnds half-closes both ways: a FIN is no payload, and one from the peer
// does not stop the count.
func TestAckedEnds(t *testing.T) {
	eachKind(t, func(t *testing.T, client, server *net.TCPConn) {
		move(t, client, server, 1000)
		server.CloseWrite()
		client.SetReadDeadline(time.Now().Add(10 * time.Second))
		if n, err := client.Read(make([]byte, 1)); err != io.EOF {
			t.Fatal(n, err)
		}
		move(t, client, server, 1000)
		wantAcked(t, "after the peer's FIN", client, 2004)
		client.CloseWrite()
		server.SetReadDeadline(time.Now().Add(10 * time.Second))
		if n, err := server.Read(make([]byte, 1)); err != io.EOF {
			t.Fatal(n, err)
		}
		time.Sleep(50 * time.Millisecond) // longer than a delayed ACK: the FIN must not be counted
		if n, err := Acked(client); n != 2004 && !errors.Is(err, syscall.ENOTCONN) {
			t.Errorf("after both FINs: %d acknowledged, %v, want 2004", n, err)
		}
		if n, err := Acked(server); err != nil || n > 4 || n < 3 {
			t.Errorf("at the server: %d acknowledged, %v, want 4", n, err)
		}
	})
}

// TestAckedStuck fills a peer that does not read: what is acknowledged stays
// below what was written, and a reset does not change that.
func TestAckedStuck(t *testing.T) {
	eachKind(t, func(t *testing.T, client, server *net.TCPConn) {
		n, chunk := 4, make([]byte, 256<<10)
		for {
			client.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
			m, err := client.Write(chunk)
			if n += m; err != nil {
				break
			}
		}
		var before uint64
		eventually(t, "some bytes acknowledged", func() bool {
			var err error
			if before, err = Acked(client); err != nil {
				t.Fatal(err)
			}
			return before > 4
		})
		if before >= uint64(n) {
			t.Errorf("%d of %d acknowledged", before, n)
		}
		server.SetLinger(0)
		server.Close()
		client.SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, err := client.Read(make([]byte, 1)); err == nil {
			t.Error("no reset")
		}
		after, err := Acked(client)
		if err != nil || after < before || after >= uint64(n) {
			t.Errorf("%d of %d acknowledged, %v; %d before the reset", after, n, err, before)
		}
	})
}

func TestTCPAcked(t *testing.T) {
	for _, tt := range []struct {
		name string
		info unix.TCPInfo
		want uint64
	}{
		{"dialler, nothing sent", unix.TCPInfo{State: 1, Bytes_acked: 1}, 0},
		{"dialler, one byte in flight", unix.TCPInfo{State: 1, Bytes_acked: 1, Bytes_sent: 1, Unacked: 1}, 0},
		{"dialler, all arrived", unix.TCPInfo{State: 1, Bytes_acked: 101, Bytes_sent: 100}, 100},
		{"dialler, reset early", unix.TCPInfo{State: 7, Bytes_acked: 5, Bytes_sent: 1004}, 4},
		{"dialler, FIN arrived", unix.TCPInfo{State: 5, Bytes_acked: 102, Bytes_sent: 100}, 100},
		{"acceptor, nothing sent", unix.TCPInfo{State: 1}, 0},
		{"acceptor, in flight", unix.TCPInfo{State: 1, Bytes_acked: 50, Bytes_sent: 100, Unacked: 1}, 49},
		{"acceptor, all arrived", unix.TCPInfo{State: 1, Bytes_acked: 100, Bytes_sent: 150, Bytes_retrans: 50}, 100},
		{"acceptor, reset before anything", unix.TCPInfo{State: 7, Bytes_sent: 100}, 0},
	} {
		if got := tcpAcked(&tt.info); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
}
