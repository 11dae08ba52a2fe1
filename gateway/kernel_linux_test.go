package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"tributary/link"
	"tributary/mptcp"
	"tributary/mptcp/pm"
	"tributary/passage"
	"tributary/proxy"
	"tributary/splice"
)

const childEnv = "TRIBUTARY_GATEWAY_TEST_CHILD"

// inNamespace runs the calling test again in a process with a fresh network namespace,
// and reports whether this is that process; the other one passes on the outcome.
func inNamespace(t *testing.T) bool {
	t.Helper()
	if os.Getenv(childEnv) != "" {
		must(t, netlink.LinkSetUp(device(t, "lo")))
		return true
	}
	why := ""
	if os.Getuid() != 0 {
		why = "needs root for a network namespace"
	} else if _, err := os.Stat("/proc/sys/net/mptcp"); err != nil {
		why = "the kernel has no MPTCP"
	}
	if why != "" {
		if slices.Contains(strings.Split(os.Getenv("TRIBUTARY_REQUIRE"), ","), "kernel") {
			t.Fatal(why)
		}
		t.Skip(why)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), childEnv+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
	return false
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func device(t *testing.T, name string) netlink.Link {
	t.Helper()
	l, err := netlink.LinkByName(name)
	must(t, err)
	return l
}

func addAddr(t *testing.T, dev, prefix string) {
	t.Helper()
	a, err := netlink.ParseAddr(prefix)
	must(t, err)
	a.Flags = unix.IFA_F_NODAD
	must(t, netlink.AddrAdd(device(t, dev), a))
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("never happened: ", what)
		}
	}
}

// overSockets lets the world's relay listen on a port of loopback, and its gateway
// dial there from an address that may be invalid. It returns the relay's sockets.
func (w *world) overSockets(t *testing.T, multipath bool, from netip.Addr) <-chan *net.TCPConn {
	t.Helper()
	l, err := mptcp.Listen(t.Context(), "tcp", "127.0.0.1:0", multipath, nil)
	must(t, err)
	accepted := make(chan *net.TCPConn, 100)
	w.served.Go(func() {
		for {
			c, err := l.AcceptTCP()
			if err != nil {
				return
			}
			accepted <- c
			w.served.Go(func() { w.serve(c) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		w.served.Wait()
		w.servers.Wait()
	})
	to := l.Addr().(*net.TCPAddr).AddrPort()
	w.dialer.upstream.dial = func(ctx context.Context, _ netip.Addr, _ netip.AddrPort) (net.Conn, error) {
		c, err := (&Gateway{}).dial(ctx, from, to, true)
		return c, err
	}
	return accepted
}

// What was carried is counted per local address, once, and kept after the end.
func TestFlowsCount(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	dsl, lte := netip.MustParseAddr("10.1.0.1"), netip.MustParseAddr("10.2.0.1")
	addAddr(t, "lo", dsl.String()+"/32")
	addAddr(t, "lo", lte.String()+"/32")
	c, err := pm.New()
	must(t, err)
	defer c.Close()
	must(t, c.SetLimits(pm.Limits{Subflows: 2}))
	must(t, c.Add(pm.Endpoint{Addr: lte, Flags: pm.Subflow}))

	const size = 1 << 20
	for _, multipath := range []bool{true, false} {
		w := newWorld(t)
		w.servers.Delay = 0
		w.servers.Handle(otherServer, func(c proxy.Conn) {
			n, _ := io.Copy(io.Discard, c)
			c.Write(make([]byte, n))
		})
		w.overSockets(t, multipath, dsl)
		f := newFlows()
		told := map[netip.Addr][]passage.Evidence{}
		f.tell = func(local netip.Addr, _ uint16, e passage.Evidence) { told[local] = append(told[local], e) }
		w.dialer.upstream.track = f.track
		conn, err := w.dialer.get(w.ctx, otherServer, 2, time.Now().Add(openTime), proxy.Flow{})
		must(t, err)
		must(t, w.dialer.upstream.login(conn))
		if multipath {
			eventually(t, "a second subflow", func() bool {
				full, err := mptcp.FullInfo(conn.socket)
				return err == nil && established(full) == 2
			})
		}
		f.byAddress() // the tick: a link is heard while the connection is open both ways
		if age := time.Since(f.heard([]netip.Addr{lte, dsl})); age > 10*time.Second || !f.heard([]netip.Addr{netip.MustParseAddr("10.9.0.1")}).IsZero() {
			t.Errorf("heard %v ago", age)
		}
		conn.pending = false
		tun := &tunnel{ctx: w.ctx, cancel: func() {}, dialer: w.dialer, to: otherServer, until: time.Now().Add(openTime)}
		tun.conn.Store(conn)
		must(t, tun.request(conn))
		stream, err := tun.Settle()
		must(t, err)
		go func() {
			stream.Write(make([]byte, size))
			stream.CloseWrite()
		}()
		if n, err := io.Copy(io.Discard, stream); n != size || err != nil {
			t.Fatalf("%d bytes came back, %v", n, err)
		}

		check := func(when string) {
			t.Helper()
			var sum traffic
			for addr, tr := range f.byAddress() {
				want := passage.Joined
				switch {
				case !multipath:
					want = passage.Fell
				case addr == dsl:
					want = passage.Began
				}
				if addr != dsl && addr != lte || !slices.Equal(told[addr], []passage.Evidence{want}) {
					t.Errorf("%s: %v: %+v, told %v", when, addr, tr, told[addr])
				}
				if tr.rtt <= 0 || tr.rtt > time.Second {
					t.Errorf("%s: %v: round trip %v", when, addr, tr.rtt)
				}
				sum.up += tr.up
				sum.down += tr.down
			}
			for what, n := range map[string]uint64{"up": sum.up, "down": sum.down} {
				if n < size || n > size+size/5 { // TLS and the logins are in it, and what went twice
					t.Errorf("%s: %d bytes %s, want a little over %d", when, n, what, size)
				}
			}
			if want := 1; multipath {
				want = 2
				if n := len(f.byAddress()); n != want {
					t.Errorf("%s: %d addresses, want %d", when, n, want)
				}
			}
		}
		check("while open")
		check("asked again")
		if multipath { // a counter never falls: what a subflow had that has ended is in the past at once
			all, err := c.Endpoints()
			must(t, err)
			must(t, c.Delete(all[0].ID))
			eventually(t, "one subflow", func() bool {
				full, err := mptcp.FullInfo(conn.socket)
				return err == nil && established(full) == 1
			})
			check("when a subflow has just ended")
			must(t, c.Add(pm.Endpoint{Addr: lte, Flags: pm.Subflow}))
		}
		wire := uint64(0)
		for _, n := range f.cost(conn) {
			wire += n
		}
		if wire < 2*size || wire > 3*size { // packets have headers, and here up to 64 KiB
			t.Errorf("%d bytes on the wire for %d of payload each way", wire, size)
		}
		stream.Close()
		check("after the end")
		f.mu.Lock()
		if len(f.conns) != 0 {
			t.Errorf("%d connections are still followed", len(f.conns))
		}
		f.mu.Unlock()
		if f.cost(conn) != nil {
			t.Error("a connection that has ended still costs something")
		}
		if f.rtts()[dsl] <= 0 {
			t.Error("the round trip is forgotten")
		}
		w.end()
	}
}

// The relay's kernel had the bytes: nobody knows what became of them, so they are
// not sent again.
func TestAcknowledgedBytesAreNotRepeated(t *testing.T) {
	for _, multipath := range []bool{true, false} {
		t.Run(fmt.Sprint("multipath ", multipath), func(t *testing.T) {
			w := newWorld(t)
			defer w.end()
			w.servers.Handle(webServer, answers)
			w.overSockets(t, multipath, netip.Addr{})
			w.deaf = 1
			c := w.dial(t, webServer, "order one pizza")
			if got, err := read(c); proxy.ReasonOf(err) != proxy.RelayUnreachable {
				t.Errorf("read %q, %v", got, err)
			}
			c.Close()
			if d := w.servers.Dialed(); len(d) > 0 {
				t.Errorf("sent again: %v", d)
			}
		})
	}
}

// A warm connection whose other end has vanished, as behind a NAT that forgot it,
// takes nothing with it: nothing was acknowledged, so the client's bytes go again.
func TestUnacknowledgedBytesGoAgain(t *testing.T) {
	w := newWorld(t)
	defer w.end()
	w.servers.Handle(webServer, answers)
	accepted := w.overSockets(t, false, netip.Addr{})
	warm, err := w.dialer.upstream.warm(w.ctx)
	must(t, err)
	far := <-accepted
	raw, err := far.SyscallConn()
	must(t, err)
	raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_TCP, unix.TCP_REPAIR, 1) })
	if err != nil {
		far.Close()
		if slices.Contains(strings.Split(os.Getenv("TRIBUTARY_REQUIRE"), ","), "kernel") {
			t.Fatal(err)
		}
		t.Skipf("a socket cannot vanish without a word here: %v", err)
	}
	far.Close()

	p := w.pool
	watched := &warmConn{relayConn: warm, watched: make(chan error, 1)}
	p.idle = append(p.idle, watched)
	go p.watch(watched)
	c := w.dial(t, webServer, "order one ")
	io.WriteString(c, "pizza")
	c.CloseWrite()
	if got, err := read(c); got != `got 15 bytes "order one pizza", <nil>` || err != nil {
		t.Errorf("read %q, %v", got, err)
	}
	c.Close()
	w.wantMoves(t, 1)
	if d := w.servers.Dialed(); len(d) != 1 {
		t.Errorf("dialled %v", d)
	}
	if _, s := p.status(); s.Hits != 1 {
		t.Errorf("status %+v: the dead connection was not used", s)
	}
}

// newSilentWorld has one warm connection, from which nothing comes back any more
// although what it sends arrives.
func newSilentWorld(t *testing.T) *world {
	w := newWorld(t)
	w.servers.Handle(otherServer, answers)
	w.servers.Handle(webServer, answers)
	for _, a := range []string{"10.1.0.1/32", "10.2.0.1/32"} {
		addAddr(t, "lo", a)
	}
	w.overSockets(t, true, netip.MustParseAddr("10.1.0.1"))
	warm, err := w.dialer.upstream.warm(w.ctx)
	must(t, err)
	watched := &warmConn{relayConn: warm, watched: make(chan error, 1)}
	w.pool.idle = append(w.pool.idle, watched)
	go w.pool.watch(watched)

	// From now on nothing comes back to 10.1.0.1, and new connections start elsewhere.
	_, lost, _ := net.ParseCIDR("10.1.0.1/32")
	must(t, netlink.RouteReplace(&netlink.Route{Dst: lost, Table: unix.RT_TABLE_LOCAL, Type: unix.RTN_BLACKHOLE, Priority: 0}))
	routes, err := netlink.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{Table: unix.RT_TABLE_LOCAL, Type: unix.RTN_LOCAL}, netlink.RT_FILTER_TABLE|netlink.RT_FILTER_TYPE)
	must(t, err)
	for _, r := range routes {
		if r.Dst != nil && r.Dst.String() == lost.String() {
			netlink.RouteDel(&r)
		}
	}
	to := warm.RemoteAddr().(*net.TCPAddr).AddrPort()
	to = netip.AddrPortFrom(to.Addr().Unmap(), to.Port())
	w.dialer.upstream.dial = func(ctx context.Context, _ netip.Addr, _ netip.AddrPort) (net.Conn, error) {
		return (&Gateway{}).dial(ctx, netip.MustParseAddr("10.2.0.1"), to, true)
	}
	return w
}

// A path that swallows everything is given up after a second, for one that works.
func TestSilentConnectionIsGivenUp(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	w := newSilentWorld(t)
	defer w.end()
	began := time.Now()
	c, err := w.dialer.DialStream(w.ctx, otherServer, nil)
	must(t, err)
	if took := time.Since(began); took < silenceTime || took > 4*silenceTime {
		t.Errorf("found another way after %v, want a little over %v", took, silenceTime)
	}
	w.wantMoves(t, 1)
	io.WriteString(c, "hello")
	c.CloseWrite()
	if got, err := read(c); got != `got 5 bytes "hello", <nil>` || err != nil {
		t.Errorf("read %q, %v", got, err)
	}
	splice.Abort(c)
}

// With bytes of the client on the way silence proves nothing: they may have been
// delivered, and were here. They are not sent again, and the client hears of it
// within 5 s.
func TestSilenceRepeatsNothing(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	w := newSilentWorld(t)
	defer w.end()
	began := time.Now()
	c, err := w.dialer.DialStream(w.ctx, webServer, []byte("order one pizza"))
	must(t, err)
	if _, err := read(c); err == nil {
		t.Error("there is an answer")
	}
	if took := time.Since(began); took < openTime-time.Second || took > openTime+time.Second {
		t.Errorf("gave up after %v, want about %v", took, openTime)
	}
	time.Sleep(2 * silenceTime)
	if d := w.servers.Dialed(); len(d) > 1 {
		t.Errorf("dialled %v", d)
	}
	w.wantMoves(t, 0)
	splice.Abort(c)
}

// linkUp makes an access link: a device with an address and a default route.
func linkUp(t *testing.T, name, addr, gateway string) {
	t.Helper()
	must(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: "p" + name}))
	must(t, netlink.LinkSetUp(device(t, "p"+name)))
	must(t, netlink.LinkSetUp(device(t, name)))
	addAddr(t, name, addr)
	must(t, netlink.RouteAdd(&netlink.Route{
		LinkIndex: device(t, name).Attrs().Index, Gw: net.ParseIP(gateway), Priority: device(t, name).Attrs().Index,
	}))
}

func TestSourcesAndStatusOfLinks(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	linkUp(t, "dsl", "10.1.0.2/24", "10.1.0.1")
	linkUp(t, "lte", "10.2.0.2/24", "10.2.0.1")
	linkUp(t, "sat", "10.3.0.2/24", "10.3.0.1")
	linkUp(t, "cable", "10.4.0.2/24", "10.4.0.1")
	addr := func(n int) netip.Addr { return netip.AddrFrom4([4]byte{10, byte(n), 0, 2}) }
	m, err := link.New(link.Config{
		StateDir: t.TempDir(), Log: slog.New(slog.DiscardHandler),
		Wanted: []link.Wanted{{Name: "dsl"}, {Name: "lte"}, {Name: "sat", Mode: link.Backup}, {Name: "cable"}, {Name: "usb0"}},
	})
	must(t, err)
	defer m.Close()
	if ok, why := m.Managing(); !ok {
		t.Fatal(why)
	}
	g, _ := newTestGateway(t)
	want := func(what string, order ...string) {
		t.Helper()
		var got []string
		for _, s := range g.sources(false) {
			got = append(got, strings.TrimSpace(s.link+" "+map[bool]string{true: s.addr.String()}[s.addr.IsValid()]))
		}
		if !slices.Equal(got, order) {
			t.Errorf("%s: sources %q, want %q", what, got, order)
		}
	}
	want("without link management the routing table chooses", "")
	g.config.Links = m
	eventually(t, "four links up", func() bool { must(t, m.Set(wantedOf(m))); return len(g.sources(false)) == 4 })
	want("nothing heard", "cable 10.4.0.2", "dsl 10.1.0.2", "lte 10.2.0.2", "sat 10.3.0.2")
	hear := func(n int, rtt time.Duration) { g.flows.past[addr(n)] = traffic{rtt: rtt, heard: time.Now()} }
	hear(3, 5*time.Millisecond)
	hear(4, 20*time.Millisecond)
	want("those heard go first, backup last", "cable 10.4.0.2", "dsl 10.1.0.2", "lte 10.2.0.2", "sat 10.3.0.2")
	hear(1, 40*time.Millisecond)
	hear(2, 30*time.Millisecond)
	want("the quickest first", "cable 10.4.0.2", "lte 10.2.0.2", "dsl 10.1.0.2", "sat 10.3.0.2")
	for _, s := range g.sources(false) {
		if d := g.toRelay(s.addr, true); d.Device != s.link || d.Local != s.addr {
			t.Errorf("over %s: bound to %q and %v", s.link, d.Device, d.Local)
		}
	}
	if d := g.toRelay(netip.Addr{}, true); d.Device != "" {
		t.Errorf("over any link: bound to %q", d.Device)
	}
	if s := g.sources(true); len(s) != 0 {
		t.Errorf("IPv6 sources %v without an IPv6 address", s)
	}

	g.flows.past[addr(1)] = traffic{up: 900, down: 2, retrans: 100, rtt: 40200 * time.Microsecond, heard: time.Now()}
	g.passage.Tell(addr(1), g.config.Relay.Port, passage.Joined)
	s := g.Status()
	var doc any
	must(t, json.Unmarshal([]byte(contract), &doc))
	wantMembers(t, "status", statusJSON(t, s), doc)
	if len(s.Links) != 5 || s.LinkCare != "on" {
		t.Fatalf("status %+v", s)
	}
	for _, l := range s.Links {
		state, mode := "up", "on"
		switch l.Name {
		case "usb0":
			state = "absent"
		case "sat":
			mode = "backup"
		case "dsl":
			if l.RTTms != 40.2 || l.Loss != 0.1 || l.BytesUp != 900 || l.BytesDown != 2 || l.MPTCP != "ok" || l.Addresses[0] != "10.1.0.2" {
				t.Errorf("link %+v", l)
			}
		}
		if l.State != state || l.Mode != mode {
			t.Errorf("link %+v, want %s and %s", l, state, mode)
		}
	}
}

// wantedOf is what was asked for: to ask again looks at the kernel anew.
func wantedOf(m *link.Manager) (all []link.Wanted) {
	for _, l := range m.Links() {
		all = append(all, link.Wanted{Name: l.Name, Mode: l.Mode})
	}
	return all
}

// There are endpoints for eight links. A ninth is not expected to join: else connections
// would seem to lack it for ever, and MPTCP not to pass it.
func TestMoreLinksThanEndpoints(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	var wanted []link.Wanted
	for n := range 9 {
		name := fmt.Sprintf("w%d", n)
		linkUp(t, name, fmt.Sprintf("10.1.%d.2/24", n), fmt.Sprintf("10.1.%d.1", n))
		wanted = append(wanted, link.Wanted{Name: name})
	}
	m, err := link.New(link.Config{StateDir: t.TempDir(), Log: slog.New(slog.DiscardHandler), Wanted: wanted})
	must(t, err)
	defer m.Close()
	g, _ := newTestGateway(t)
	g.config.Links = m
	eventually(t, "nine links up", func() bool { must(t, m.Set(wantedOf(m))); return len(g.sources(false)) == 9 })
	now, later := g.upstream.expected(netip.MustParseAddrPort("192.0.2.1:443"), mptcp.Full{})
	if len(now) != 8 || len(later) != 0 {
		t.Errorf("%d links are expected, and %d later, want 8", len(now), len(later))
	}
	if last := g.sources(false)[8]; last.link != "w8" || !last.apart {
		t.Errorf("connections begin last over %+v", last)
	}
}

// A gateway that may not manage the links decides nothing on them, and says nothing of
// parts that nobody plays.
func TestNothingIsDecidedWithoutManagement(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	linkUp(t, "dsl", "10.1.0.2/24", "10.1.0.1")
	linkUp(t, "lte", "10.2.0.2/24", "10.2.0.1")
	newLinks := func() *link.Manager {
		m, err := link.New(link.Config{
			StateDir: t.TempDir(), Log: slog.New(slog.DiscardHandler),
			Wanted: []link.Wanted{{Name: "dsl"}, {Name: "lte", Mode: link.Overflow}},
		})
		must(t, err)
		t.Cleanup(func() { m.Close() })
		return m
	}
	for _, managed := range []bool{true, false} { // the second one finds the first
		g, log := newTestGateway(t)
		g.config.Links = newLinks()
		g.monitor = g.newMonitor()
		if ok, why := g.config.Links.Managing(); ok != managed {
			t.Fatalf("managing %v: %s", ok, why)
		}
		g.steer()
		if n := len(g.decisions()); (n > 0) != managed || strings.Contains(log.String(), "role=") != managed {
			t.Errorf("managed %v: %d decisions; log\n%s", managed, n, log)
		}
		if g.steering.again <= 0 {
			t.Error("looks without a rest")
		}
	}
}
