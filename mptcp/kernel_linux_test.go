package mptcp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tributary/mptcp/pm"
)

// pair returns both ends of a connection that has moved 4 bytes each way.
func pair(t *testing.T, home *namespace, d Dialer, l *net.TCPListener, to string) (client, server *net.TCPConn) {
	t.Helper()
	port := l.Addr().(*net.TCPAddr).AddrPort().Port()
	home.must(t, func() (err error) {
		client, err = d.Dial(t.Context(), netip.AddrPortFrom(netip.MustParseAddr(to), port))
		return err
	})
	t.Cleanup(func() { client.Close() })
	server, err := l.AcceptTCP()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	move(t, client, server, 4)
	move(t, server, client, 4)
	return client, server
}

// move sends n bytes and waits until they have been read.
func move(t *testing.T, from, to *net.TCPConn, n int) {
	t.Helper()
	go from.Write(bytes.Repeat([]byte{'x'}, n))
	to.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.CopyN(io.Discard, to, int64(n)); err != nil {
		t.Fatal(err)
	}
	to.SetReadDeadline(time.Time{})
}

func wantAcked(t *testing.T, what string, c *net.TCPConn, want uint64) {
	t.Helper()
	var got uint64
	var err error
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if got, err = Acked(c); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if got >= want {
			break
		}
	}
	if got != want {
		t.Errorf("%s: %d bytes acknowledged, want %d", what, got, want)
	}
}

const bulk = 4 << 20

// TestTwoSubflows holds a connection over two links against everything this
// package says of it, and takes one link away.
func TestTwoSubflows(t *testing.T) {
	home, far := newNamespace(t), newNamespace(t)
	link(t, "dsl", home, "10.0.1.1/24", far, "10.0.1.2/24")
	link(t, "lte", home, "10.0.2.1/24", far, "10.0.2.2/24")
	var path *pm.Client
	var events *pm.Events
	home.must(t, func() (err error) {
		if path, err = pm.New(); err != nil {
			return err
		}
		if events, err = pm.Subscribe(); err != nil {
			return err
		}
		lte, err := net.InterfaceByName("lte")
		if err != nil {
			return err
		}
		return path.Add(pm.Endpoint{Addr: netip.MustParseAddr("10.0.2.1"), Flags: pm.Subflow, IfIndex: lte.Index})
	})
	defer path.Close()
	defer events.Close()
	client, server := pair(t, home, Dialer{Multipath: true, Local: netip.MustParseAddr("10.0.1.1")}, far.listen(t, ":0", true), "10.0.1.2")
	if !IsMultipath(client) || !IsMultipath(server) {
		t.Fatal("not multipath")
	}
	var full Full
	eventually(t, "two subflows", func() bool {
		full = mustFull(t, client)
		return len(full.Subflows) == 2 && full.Subflows[1].State == Established
	})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for ev := (pm.Event{}); ev.Kind != pm.SubflowEstablished; {
		var err error
		if ev, err = events.Next(ctx); err != nil {
			t.Fatal(err)
		}
		if ev.Token != full.Token {
			t.Errorf("event of token %#x, the connection has %#x", ev.Token, full.Token)
		}
		if s := full.Subflows[1]; ev.Kind == pm.SubflowEstablished && (ev.Local != s.Local || ev.Remote != s.Remote) {
			t.Errorf("event %+v does not fit subflow %+v", ev, s)
		}
	}
	move(t, client, server, bulk)
	move(t, server, client, bulk)
	wantAcked(t, "client", client, 4+bulk)
	wantAcked(t, "server", server, 4+bulk)
	checkFull(t, client, server)
	checkParts(t, client)

	if err := path.Delete(1); err != nil {
		t.Fatal(err)
	}
	eventually(t, "one subflow", func() bool { return len(mustFull(t, client).Subflows) == 1 })
	move(t, client, server, bulk)
	wantAcked(t, "client on one link", client, 4+2*bulk)
}

func mustFull(t *testing.T, c *net.TCPConn) Full {
	t.Helper()
	full, err := FullInfo(c)
	if err != nil {
		t.Fatal(err)
	}
	return full
}

func checkFull(t *testing.T, client, server *net.TCPConn) {
	t.Helper()
	full, peer := mustFull(t, client), mustFull(t, server)
	if full.BytesSent != 4+bulk || full.BytesReceived != 4+bulk || full.BytesAcked != 4+bulk {
		t.Errorf("client: %+v", full.Connection)
	}
	if full.Extra != 1 || full.Total != 2 || full.Fallback || !full.RemoteKey || full.Token == peer.Token {
		t.Errorf("client: %+v", full.Connection)
	}
	var sent, received uint64
	for i, s := range full.Subflows {
		want := netip.AddrFrom4([4]byte{10, 0, byte(i + 1), 1})
		if s.Local.Addr() != want || s.Remote != unmap(client.RemoteAddr()) || s.ID != uint32(i+1) {
			t.Errorf("subflow %+v, want one from %v", s, want)
		}
		if s.RTT <= 0 || s.RTT > time.Second || s.MinRTT > s.RTT || s.CWnd == 0 || s.MSS < 1000 || s.PacingRate == 0 || s.BytesSent == 0 {
			t.Errorf("implausible subflow %+v", s)
		}
		sent += s.BytesSent - s.BytesRetrans
		received += s.BytesReceived
		mirror := peer.Subflows[i]
		if mirror.Local != s.Remote || mirror.Remote != s.Local {
			t.Errorf("the server sees %v-%v as %v-%v", s.Local, s.Remote, mirror.Local, mirror.Remote)
		}
	}
	// A byte may travel on both subflows, never on none.
	if sent < 4+bulk || sent > 2*bulk || received < 4+bulk || received > 2*bulk {
		t.Errorf("subflows sent %d and received %d bytes, want %d and a little", sent, received, 4+bulk)
	}
	one, err := TCPInfo(client)
	if err != nil || one.Local != full.Subflows[0].Local || one.BytesSent != full.Subflows[0].BytesSent {
		t.Errorf("TCPInfo %+v, %v, want subflow 1", one, err)
	}
	up, err := Info(client)
	if err != nil || up.Token != full.Token || up.WriteSeq != full.WriteSeq || up.SndUna != up.WriteSeq {
		t.Errorf("Info %+v, %v, want %+v", up, err, full.Connection)
	}
}

// checkParts asks as kernels before 6.5 have to be asked.
func checkParts(t *testing.T, c *net.TCPConn) {
	t.Helper()
	var old Full
	err := with(c, func(fd int) (err error) {
		old, err = readParts(fd, unix.EOPNOTSUPP)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	full := mustFull(t, c)
	if len(old.Subflows) != len(full.Subflows) || old.Token != full.Token {
		t.Fatalf("in parts %+v, at once %+v", old, full)
	}
	for i, s := range full.Subflows {
		if o := old.Subflows[i]; o.Local != s.Local || o.Remote != s.Remote || o.BytesSent != s.BytesSent || o.RTT != s.RTT {
			t.Errorf("in parts %+v, at once %+v", o, s)
		}
	}
}

// TestMixedFamilies joins IPv6 to a connection that was dialled by IPv4.
func TestMixedFamilies(t *testing.T) {
	home, far := newNamespace(t), newNamespace(t)
	link(t, "dsl", home, "10.0.1.1/24 fd00:1::1/64", far, "10.0.1.2/24 fd00:1::2/64")
	for ns, e := range map[*namespace]pm.Endpoint{
		home: {Addr: netip.MustParseAddr("fd00:1::1"), Flags: pm.Subflow | pm.Fullmesh},
		far:  {Addr: netip.MustParseAddr("fd00:1::2"), Flags: pm.Signal},
	} {
		ns.must(t, func() error {
			path, err := pm.New()
			if err != nil {
				return err
			}
			defer path.Close()
			return errors.Join(path.Add(e), path.SetLimits(pm.Limits{Subflows: 4, AddAddrAccepted: 4}))
		})
	}
	client, _ := pair(t, home, Dialer{Multipath: true}, far.listen(t, ":0", true), "10.0.1.2")
	eventually(t, "a subflow of IPv6", func() bool {
		full := mustFull(t, client)
		return len(full.Subflows) == 2 && full.Subflows[0].Remote.Addr().Is4() && full.Subflows[1].Remote.Addr().Is6()
	})
}

func TestFallback(t *testing.T) {
	for _, multipath := range []bool{true, false} {
		t.Run(fmt.Sprint("asked ", multipath), func(t *testing.T) {
			home, far := newNamespace(t), newNamespace(t)
			link(t, "dsl", home, "10.0.1.1/24", far, "10.0.1.2/24")
			far.sysctl(t, "mptcp/enabled", "0")
			client, server := pair(t, home, Dialer{Multipath: multipath}, far.listen(t, ":0", true), "10.0.1.2")
			move(t, client, server, bulk)
			for _, c := range []*net.TCPConn{client, server} {
				if IsMultipath(c) {
					t.Error("multipath")
				}
				if up, err := Info(c); err == nil {
					t.Errorf("Info: %+v", up)
				}
			}
			wantAcked(t, "client", client, 4+bulk)
			wantAcked(t, "server", server, 4)
			full := mustFull(t, client)
			if !full.Fallback || full.BytesSent != 4+bulk || full.BytesReceived != 4 || len(full.Subflows) != 1 {
				t.Fatalf("%+v", full)
			}
			if s := full.Subflows[0]; s.State != Established || s.RTT == 0 || s.Local.String() != client.LocalAddr().String() {
				t.Errorf("%+v", s)
			}
		})
	}
}

func TestSwitchedOff(t *testing.T) {
	home := newNamespace(t)
	home.sysctl(t, "mptcp/enabled", "0")
	var err error
	home.do(func() { err = Supported() })
	var why *UnsupportedError
	if !errors.As(err, &why) || !errors.Is(err, unix.ENOPROTOOPT) || why.Hint() != "sysctl -w net.mptcp.enabled=1" {
		t.Errorf("%v", err)
	}
	client, server := pair(t, home, Dialer{Multipath: true}, home.listen(t, "127.0.0.1:0", true), "127.0.0.1")
	if IsMultipath(client) || IsMultipath(server) {
		t.Error("multipath")
	}
	home.sysctl(t, "mptcp/enabled", "1")
	home.do(func() { err = Supported() })
	if err != nil {
		t.Error(err)
	}
}

func TestQuiet(t *testing.T) {
	for name, multipath := range map[string]bool{"MPTCP": true, "plain TCP": false} {
		t.Run(name, func(t *testing.T) {
			home := newNamespace(t)
			a, b := pair(t, home, Dialer{Multipath: multipath}, home.listen(t, "127.0.0.1:0", multipath), "127.0.0.1")
			if !Quiet(a) || !Quiet(b) {
				t.Error("nothing is to be read, and it is not quiet")
			}
			if _, err := a.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
			eventually(t, "data is seen", func() bool { return !Quiet(b) })
			if n, err := b.Read(make([]byte, 2)); n != 1 || err != nil {
				t.Fatalf("read %d bytes, %v: something was taken", n, err)
			}
			if !Quiet(b) {
				t.Error("all was read, and it is not quiet")
			}
			a.CloseWrite()
			eventually(t, "the end is seen", func() bool { return !Quiet(b) })
			b.SetLinger(0)
			b.Close()
			eventually(t, "the reset is seen", func() bool { return !Quiet(a) })
			if Quiet(b) {
				t.Error("a closed connection is quiet")
			}
		})
	}
}
