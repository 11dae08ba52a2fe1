package stale

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"tributary/mptcp"
	"tributary/mptcp/pm"
)

// A world is two network namespaces with two links between them and one connection: the
// client's first subflow is over "dsl", the other one over "lte".
type world struct {
	home, far      *site
	path           *pm.Client // of the client
	listener       net.Listener
	client, server *net.TCPConn
}

// A site is one of the namespaces.
type site struct {
	ns netns.NsHandle
	*netlink.Handle
}

// TestKernelReplaced has a link go while nothing can tell the server, and come back as a
// subflow beside the dead one.
func TestKernelReplaced(t *testing.T) {
	inWorld(t, func(w *world) error {
		w.look(t, w.far, w.server)
		old, err := w.remote(w.server, "10.0.2.1")
		if err != nil {
			return err
		}
		if err := errors.Join(w.silence("dsl", true), w.silence("lte", true), w.path.Delete(2)); err != nil {
			return err
		}
		if err := w.wait(w.server, func(s mptcp.Subflow) bool { return s.Remote == old }); err != nil {
			return err
		}
		if err := errors.Join(w.silence("dsl", false), w.silence("lte", false), w.join(3, "lte", "10.0.2.1")); err != nil {
			return err
		}
		return w.ends(w.server, old)
	})
}

// TestKernelShut has the first subflow be shut down while its link is dead: it stays, and
// tries to say so.
func TestKernelShut(t *testing.T) {
	inWorld(t, func(w *world) error {
		w.look(t, w.home, w.client)
		if err := w.silence("dsl", true); err != nil {
			return err
		}
		first := func(s mptcp.Subflow) bool { return s.ID == 1 }
		if err := w.wait(w.client, first); err != nil {
			return err
		}
		if err := w.path.Delete(1); err != nil {
			return err
		}
		if _, err := w.find(w.client, func(s mptcp.Subflow) bool { return first(s) && s.State == mptcp.FinWait1 && s.Timeouts > 0 }); err != nil {
			return err
		}
		if err := w.join(3, "lte", "10.0.2.3"); err != nil {
			return err
		}
		return w.until("the first subflow has ended", func(all []mptcp.Subflow) bool {
			return !slices.ContainsFunc(all, func(s mptcp.Subflow) bool { return s.State == mptcp.FinWait1 })
		}, w.client)
	})
}

// inWorld runs f in a new world, at home.
func inWorld(t *testing.T, f func(*world) error) {
	t.Helper()
	entered := false
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with its namespace
		w := &world{}
		defer w.close()
		err := w.enter()
		if err == nil {
			entered = true
			err = w.connect()
		}
		if err == nil {
			err = f(w)
		}
		done <- err
	}()
	switch err := <-done; {
	case err != nil && !entered && !slices.Contains(strings.Split(os.Getenv("TRIBUTARY_REQUIRE"), ","), "kernel"):
		t.Skip("no namespace: ", err)
	case err != nil:
		t.Fatal(err)
	}
}

// enter makes the namespaces.
func (w *world) enter() error {
	for _, s := range []**site{&w.far, &w.home} {
		ns, err := netns.New()
		if err != nil {
			return err
		}
		*s = &site{ns: ns}
		if (*s).Handle, err = netlink.NewHandleAt(ns); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) close() {
	for _, c := range []*net.TCPConn{w.client, w.server} {
		if c != nil {
			c.Close()
		}
	}
	if w.listener != nil {
		w.listener.Close()
	}
	if w.path != nil {
		w.path.Close()
	}
	for _, s := range []*site{w.home, w.far} {
		if s != nil {
			s.ns.Close()
		}
	}
}

// connect lays the links and opens the connection.
func (w *world) connect() (err error) {
	errs := []error{w.far.own("lo", "10.0.9.9/32")}
	for _, s := range []*site{w.far, w.home} {
		if err := netns.Set(s.ns); err != nil {
			return err
		}
		if w.path != nil {
			w.path.Close()
		}
		if w.path, err = pm.New(); err != nil {
			return err
		}
		errs = append(errs, w.path.SetLimits(pm.Limits{Subflows: 4}))
	}
	for i, name := range []string{"dsl", "lte"} {
		net := fmt.Sprintf("10.0.%d.", i+1)
		veth := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: name, PeerNamespace: netlink.NsFd(w.far.ns)}
		errs = append(errs, w.home.LinkAdd(veth), w.home.own(name, net+"1/24", net+"3/24"), w.far.own(name, net+"2/24"), w.silence(name, false),
			w.home.route(name, net+"2", i+1), w.join(uint8(i+1), name, net+"1"))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	l, err := w.listen()
	if err != nil {
		return err
	}
	w.listener = l // a join needs it, too
	d := net.Dialer{Timeout: 5 * time.Second, LocalAddr: &net.TCPAddr{IP: net.IPv4(10, 0, 1, 1)}}
	d.SetMultipathTCP(true)
	c, err := d.Dial("tcp", l.Addr().String())
	if err != nil {
		return err
	}
	w.client = c.(*net.TCPConn)
	if c, err = l.Accept(); err != nil {
		return err
	}
	w.server = c.(*net.TCPConn)
	for _, c := range [][2]*net.TCPConn{{w.client, w.server}, {w.server, w.client}} {
		if _, err := c[0].Write([]byte("x")); err != nil {
			return err
		}
		if _, err := io.ReadFull(c[1], make([]byte, 1)); err != nil {
			return err
		}
	}
	return w.until("both have two subflows", func(all []mptcp.Subflow) bool {
		return len(all) == 2 && all[0].State == mptcp.Established && all[1].State == mptcp.Established
	}, w.client, w.server)
}

func (w *world) listen() (l net.Listener, err error) {
	if err = netns.Set(w.far.ns); err == nil {
		var lc net.ListenConfig
		lc.SetMultipathTCP(true)
		l, err = lc.Listen(context.Background(), "tcp", "10.0.9.9:0")
	}
	return l, errors.Join(err, netns.Set(w.home.ns))
}

// own gives an interface addresses and switches it on.
func (s *site) own(name string, addrs ...string) error {
	l, err := s.LinkByName(name)
	if err != nil {
		return err
	}
	errs := []error{s.LinkSetUp(l)}
	for _, a := range addrs {
		addr, err := netlink.ParseAddr(a)
		if err != nil {
			return err
		}
		errs = append(errs, s.AddrAdd(l, addr))
	}
	return errors.Join(errs...)
}

// route leads to the server.
func (s *site) route(name, via string, metric int) error {
	l, err := s.LinkByName(name)
	if err != nil {
		return err
	}
	dst := &net.IPNet{IP: net.IPv4(10, 0, 9, 9), Mask: net.CIDRMask(32, 32)}
	return s.RouteAdd(&netlink.Route{LinkIndex: l.Attrs().Index, Dst: dst, Gw: net.ParseIP(via), Priority: metric})
}

// silence has a link lose everything, by frames that are for nobody, or ends that.
func (w *world) silence(name string, on bool) error {
	for _, p := range []struct {
		at, peer *site
		host     []byte
	}{{w.home, w.far, []byte{2}}, {w.far, w.home, []byte{1, 3}}} {
		l, err := p.at.LinkByName(name)
		if err != nil {
			return err
		}
		other, err := p.peer.LinkByName(name)
		if err != nil {
			return err
		}
		to := other.Attrs().HardwareAddr
		if on {
			to = net.HardwareAddr{2, 0, 0, 0, 0, 0x7f}
		}
		for _, host := range p.host {
			ip := net.IPv4(10, 0, map[string]byte{"dsl": 1, "lte": 2}[name], host)
			if err := p.at.NeighSet(&netlink.Neigh{LinkIndex: l.Attrs().Index, State: netlink.NUD_PERMANENT, IP: ip, HardwareAddr: to}); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *world) join(id uint8, name, a string) error {
	l, err := w.home.LinkByName(name)
	if err != nil {
		return err
	}
	return w.path.Add(pm.Endpoint{ID: id, Addr: netip.MustParseAddr(a), Flags: pm.Subflow, IfIndex: l.Attrs().Index})
}

// look has a connection of a site looked after for the test's length.
func (w *world) look(t *testing.T, at *site, c *net.TCPConn) {
	var ender Ender
	ender.Add(c)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	ready := make(chan error)
	running.Go(func() {
		runtime.LockOSThread()
		ready <- netns.Set(at.ns)
		ender.Run(ctx, slog.New(slog.DiscardHandler))
	})
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	if err := <-ready; err != nil {
		t.Error(err)
	}
}

// wait writes something and waits until a subflow has been silent with it for so long
// that it does not try again within the next two seconds.
func (w *world) wait(c *net.TCPConn, is func(mptcp.Subflow) bool) error {
	if _, err := c.Write(make([]byte, 50_000)); err != nil {
		return err
	}
	_, err := w.find(c, func(s mptcp.Subflow) bool {
		return is(s) && s.Timeouts >= 4 && s.LastAckRecv > silentFor
	})
	return err
}

// ends waits until a connection has a new subflow to the address of an old one, and then
// that one is soon gone.
func (w *world) ends(c *net.TCPConn, old netip.AddrPort) error {
	if _, err := w.find(c, func(s mptcp.Subflow) bool {
		return s.State == mptcp.Established && s.Remote.Addr() == old.Addr() && s.Remote != old
	}); err != nil {
		return err
	}
	joined := time.Now()
	if err := w.until("the old one has ended", func(all []mptcp.Subflow) bool {
		return !slices.ContainsFunc(all, func(s mptcp.Subflow) bool { return s.Remote == old })
	}, c); err != nil {
		return err
	}
	if took := time.Since(joined); took > 1500*time.Millisecond {
		return fmt.Errorf("the old one has ended only after %v", took)
	}
	return nil
}

// remote returns where the established subflow to an address leads.
func (w *world) remote(c *net.TCPConn, addr string) (netip.AddrPort, error) {
	s, err := w.find(c, func(s mptcp.Subflow) bool {
		return s.State == mptcp.Established && s.Remote.Addr() == netip.MustParseAddr(addr)
	})
	return s.Remote, err
}

func (w *world) find(c *net.TCPConn, is func(mptcp.Subflow) bool) (found mptcp.Subflow, err error) {
	err = w.until("there is such a subflow", func(all []mptcp.Subflow) bool {
		i := slices.IndexFunc(all, is)
		if i >= 0 {
			found = all[i]
		}
		return i >= 0
	}, c)
	return found, err
}

// patience is more than four timeouts take.
const patience = 10 * time.Second

func (w *world) until(what string, ok func([]mptcp.Subflow) bool, conns ...*net.TCPConn) error {
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		all := true
		var last []mptcp.Subflow
		for _, c := range conns {
			full, err := mptcp.FullInfo(c)
			if err != nil {
				return err
			}
			all, last = all && ok(full.Subflows), full.Subflows
		}
		if all {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("not in %v: %s: %+v", patience, what, last)
		}
	}
}
