package pm

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func newTestClient(t *testing.T) *Client {
	t.Helper()
	inNamespace(t)
	c, err := New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func wantEndpoints(t *testing.T, c *Client, want ...Endpoint) {
	t.Helper()
	got, err := c.Endpoints()
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(want) {
		t.Fatalf("endpoints %+v, want %+v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("endpoint %d is %+v, want %+v", i, got[i], want[i])
		}
	}
}

func TestKernelEndpoints(t *testing.T) {
	c := newTestClient(t)
	wantEndpoints(t, c)
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	first := Endpoint{ID: 1, Addr: netip.MustParseAddr("127.0.0.2"), Flags: Subflow | Backup, IfIndex: lo.Index}
	second := Endpoint{ID: 2, Addr: netip.MustParseAddr("fd00::2"), Flags: Signal, Port: 4711}
	ninth := Endpoint{ID: 9, Addr: netip.MustParseAddr("127.0.0.9"), Flags: Subflow | Fullmesh}
	unnumbered := first
	unnumbered.ID = 0
	for _, e := range []Endpoint{unnumbered, ninth} {
		if err := c.Add(e); err != nil {
			t.Fatal(err)
		}
	}
	// A signalled port opens a listener of the kernel's, so its address must exist.
	second.Addr = netip.MustParseAddr("::1")
	second.ID = 0
	if err := c.Add(second); err != nil {
		t.Fatal(err)
	}
	second.ID = 10
	wantEndpoints(t, c, first, ninth, second)

	if err := c.Add(unnumbered); !errors.Is(err, os.ErrExist) {
		t.Errorf("duplicate: %v, want os.ErrExist", err)
	}
	for _, flags := range []Flags{Subflow, Subflow | Backup, Subflow | Fullmesh} {
		if err := c.SetFlags(first.Addr, flags); err != nil {
			t.Fatalf("set flags %v: %v", flags, err)
		}
		first.Flags = flags
		wantEndpoints(t, c, first, ninth, second)
	}
	if err := c.Delete(9); err != nil {
		t.Fatal(err)
	}
	wantEndpoints(t, c, first, second)
}

func TestKernelRefusals(t *testing.T) {
	c := newTestClient(t)
	at := func(n byte) Endpoint {
		return Endpoint{Addr: netip.AddrFrom4([4]byte{127, 0, 1, n}), Flags: Subflow}
	}
	absent := netip.MustParseAddr("127.0.0.77")
	if err := c.Delete(7); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "address not found") {
		t.Errorf("delete: %v, want os.ErrNotExist and the kernel's words", err)
	}
	if err := c.Delete(0); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("delete 0: %v, want os.ErrNotExist", err)
	}
	if err := c.SetFlags(absent, Backup); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("set flags: %v, want os.ErrNotExist", err)
	}
	if err := c.RemoveInitial(absent); err != nil {
		t.Errorf("remove initial of no connection: %v", err)
	}
	err := c.Add(Endpoint{Addr: absent, Flags: Implicit})
	if !errors.Is(err, unix.EINVAL) || errors.Is(err, os.ErrNotExist) {
		t.Errorf("implicit: %v, want EINVAL", err)
	}
	if err := c.Add(Endpoint{}); err == nil {
		t.Error("an endpoint without address was added")
	}
	for n := range byte(MaxEndpoints) {
		if err := c.Add(at(n)); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Add(at(MaxEndpoints)); !errors.Is(err, unix.ERANGE) {
		t.Errorf("ninth endpoint: %v, want ERANGE", err)
	}
	if _, err := c.ProbeLaminar(); !errors.Is(err, unix.ERANGE) {
		t.Errorf("probe without room: %v, want ERANGE", err)
	}
}

func TestKernelLimits(t *testing.T) {
	c := newTestClient(t)
	want := Limits{Subflows: 2}
	for _, next := range []Limits{{8, 3}, {0, 0}, {1, 8}} {
		if got, err := c.Limits(); err != nil || got != want {
			t.Fatalf("limits %+v, %v, want %+v", got, err, want)
		}
		if err := c.SetLimits(next); err != nil {
			t.Fatal(err)
		}
		want = next
	}
	for _, l := range []Limits{{9, 0}, {0, 9}, {-1, 0}} {
		if err := c.SetLimits(l); err == nil {
			t.Errorf("limits %+v were accepted", l)
		}
	}
	if got, err := c.Limits(); err != nil || got != want {
		t.Fatalf("limits %+v, %v, want %+v", got, err, want)
	}
}

func TestKernelProbeLaminar(t *testing.T) {
	c := newTestClient(t)
	known, err := c.ProbeLaminar()
	if err != nil {
		t.Fatal(err)
	}
	t.Log("laminar:", known)
	wantEndpoints(t, c)
	keep := Endpoint{ID: 1, Addr: laminarProbe, Flags: Subflow}
	if err := c.Add(keep); err != nil {
		t.Fatal(err)
	}
	if _, err := c.ProbeLaminar(); !errors.Is(err, os.ErrExist) {
		t.Errorf("probe of an address in use: %v, want os.ErrExist", err)
	}
	wantEndpoints(t, c, keep)
}

// The namespace belongs to this user namespace, so dropping CAP_NET_ADMIN from
// the thread is enough to lose the right.
func TestKernelPermissions(t *testing.T) {
	c := newTestClient(t)
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	if err := unix.Capset(&hdr, &none[0]); err != nil {
		t.Fatal(err)
	}
	if err := c.Add(Endpoint{Addr: netip.MustParseAddr("127.0.0.2"), Flags: Subflow}); !errors.Is(err, os.ErrPermission) {
		t.Errorf("add: %v, want os.ErrPermission", err)
	}
	if err := c.SetLimits(Limits{1, 1}); !errors.Is(err, os.ErrPermission) {
		t.Errorf("set limits: %v, want os.ErrPermission", err)
	}
	if err := c.Delete(1); !errors.Is(err, os.ErrPermission) {
		t.Errorf("delete: %v, want os.ErrPermission", err)
	}
	if e, err := Subscribe(); !errors.Is(err, os.ErrPermission) {
		t.Errorf("subscribe: %v, %v, want os.ErrPermission", e, err)
	}
	wantEndpoints(t, c)
	if l, err := c.Limits(); err != nil || l != (Limits{Subflows: 2}) {
		t.Errorf("limits %+v, %v", l, err)
	}
}

// wait returns the first event that fits, and fails the test after 5 seconds.
func wait(t *testing.T, e *Events, what string, fits func(Event) bool) Event {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	for {
		ev, err := e.Next(ctx)
		if err != nil {
			t.Fatalf("waiting for %s: %v", what, err)
		}
		if fits(ev) {
			return ev
		}
	}
}

// TestKernelEvents follows one connection over loopback: from 127.0.0.1, joined
// from 127.0.0.2, whose endpoint is then deleted, and at last reset.
func TestKernelEvents(t *testing.T) {
	c := newTestClient(t)
	e, err := Subscribe()
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	alias := netip.MustParseAddr("127.0.0.2")
	if err := c.Add(Endpoint{Addr: alias, Flags: Subflow}); err != nil {
		t.Fatal(err)
	}
	client, server := connect(t, "127.0.0.1")
	to := client.RemoteAddr().(*net.TCPAddr).AddrPort()

	ev := wait(t, e, "listener", func(ev Event) bool { return ev.Kind == ListenerCreated })
	if ev.Local != to {
		t.Errorf("listener at %v, want %v", ev.Local, to)
	}
	var sides [2]Event // they come in either order
	for range sides {
		ev := wait(t, e, "established", func(ev Event) bool { return ev.Kind == Established })
		if ev.ServerSide {
			sides[1] = ev
		} else {
			sides[0] = ev
		}
	}
	if sides[0].Remote != to || sides[1].Local != to || sides[0].Token == sides[1].Token {
		t.Errorf("established: %+v", sides)
	}
	joined := wait(t, e, "join", func(ev Event) bool { return ev.Kind == SubflowEstablished && ev.LocalID == 1 })
	if joined.Local.Addr() != alias || joined.Remote != to || joined.Token == 0 || joined.Backup {
		t.Errorf("joined: %+v", joined)
	}
	if err := c.SetFlags(alias, Subflow|Backup); err != nil {
		t.Fatal(err)
	}
	ev = wait(t, e, "priority", func(ev Event) bool { return ev.Kind == SubflowPriority })
	if !ev.Backup || ev.Remote.Addr() != alias || ev.Token == joined.Token {
		t.Errorf("the server's view of the flag: %+v", ev)
	}
	if err := c.Delete(1); err != nil {
		t.Fatal(err)
	}
	ended, removed := false, false // at the client and at the server, in either order
	wait(t, e, "end of subflow and removal of address", func(ev Event) bool {
		ended = ended || ev.Kind == SubflowClosed && ev.Token == joined.Token && ev.Local == joined.Local
		removed = removed || ev.Kind == Removed && ev.Token != joined.Token && ev.RemoteID == 1
		return ended && removed
	})
	server.SetLinger(0)
	server.Close()
	wait(t, e, "end", func(ev Event) bool { return ev.Kind == Closed && ev.Token == sides[1].Token })
}

func TestKernelRemoveInitial(t *testing.T) {
	c := newTestClient(t)
	e, err := Subscribe()
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if err := c.Add(Endpoint{Addr: netip.MustParseAddr("127.0.0.2"), Flags: Subflow}); err != nil {
		t.Fatal(err)
	}
	// Another address than the server's, or it would lose its subflows too.
	client, server := connect(t, "127.0.0.3")
	from := client.LocalAddr().(*net.TCPAddr).AddrPort()
	wait(t, e, "join", func(ev Event) bool { return ev.Kind == SubflowEstablished && ev.LocalID == 1 })
	if err := c.RemoveInitial(from.Addr()); err != nil {
		t.Fatal(err)
	}
	wait(t, e, "end of the initial subflow", func(ev Event) bool { return ev.Kind == SubflowClosed && ev.Local == from })
	echo(t, client, server)
}

// connect returns both ends of an MPTCP connection over loopback that has moved
// data both ways, without which the path manager does not act.
func connect(t *testing.T, from string) (client, server *net.TCPConn) {
	t.Helper()
	var lc net.ListenConfig
	lc.SetMultipathTCP(true)
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	d.SetMultipathTCP(true)
	c, err := d.DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	echo(t, c.(*net.TCPConn), s.(*net.TCPConn))
	return c.(*net.TCPConn), s.(*net.TCPConn)
}

func echo(t *testing.T, conns ...*net.TCPConn) {
	t.Helper()
	for i, c := range conns {
		c.Write([]byte("ping"))
		other := conns[1-i]
		other.SetReadDeadline(time.Now().Add(5 * time.Second))
		if _, err := io.ReadFull(other, make([]byte, 4)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestKernelNext(t *testing.T) {
	inNamespace(t)
	e, err := Subscribe()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if ev, err := e.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("%+v, %v, want context.Canceled", ev, err)
	}
	// The cancelled wait must not spoil the next one.
	listen(t)
	wait(t, e, "listener", func(ev Event) bool { return ev.Kind == ListenerCreated })

	ended := make(chan error)
	go func() {
		_, err := e.Next(context.Background())
		for ; err == nil; _, err = e.Next(context.Background()) {
		}
		ended <- err
	}()
	time.Sleep(10 * time.Millisecond) // either order must do; this makes the waiting one likely
	e.Close()
	if err := <-ended; !errors.Is(err, os.ErrClosed) {
		t.Errorf("after close: %v, want os.ErrClosed", err)
	}
}

func listen(t *testing.T) {
	var lc net.ListenConfig
	lc.SetMultipathTCP(true)
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
}

func TestKernelOverrun(t *testing.T) {
	inNamespace(t)
	e, err := Subscribe()
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if err := e.e.c.SetReadBuffer(1); err != nil { // the kernel makes it its minimum
		t.Fatal(err)
	}
	for range 50 {
		listen(t)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	overruns := 0
	for range 100 {
		if _, err = e.Next(ctx); errors.Is(err, ErrOverrun) {
			overruns++
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if overruns != 1 {
		t.Error("no overrun was reported")
	}
	listen(t)
	wait(t, e, "listener after the overrun", func(ev Event) bool { return ev.Kind == ListenerCreated })
}

// TestKernelNamespace sees that a client belongs to the namespace where it was
// made, not to that of the thread which uses it.
func TestKernelNamespace(t *testing.T) {
	c := newTestClient(t)
	if err := c.SetLimits(Limits{5, 5}); err != nil {
		t.Fatal(err)
	}
	var l Limits
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		if err = unix.Unshare(unix.CLONE_NEWNET); err == nil {
			l, err = c.Limits()
		}
	}()
	<-done
	if err != nil || l != (Limits{5, 5}) {
		t.Errorf("limits from elsewhere: %+v, %v", l, err)
	}
}
