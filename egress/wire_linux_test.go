package egress

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const childEnv = "TRIBUTARY_EGRESS_TEST_CHILD"

// inNamespace runs the calling test again in a process with a network namespace
// of its own, so that all its threads are there. It reports whether this is it.
func inNamespace(t *testing.T) bool {
	t.Helper()
	if os.Getenv(childEnv) != "" {
		return true
	}
	if os.Getuid() != 0 {
		missing(t, "no root for a network namespace")
	}
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		missing(t, err.Error())
	}
	t.Parallel()
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.WaitDelay = time.Second
	cmd.Env = append(os.Environ(), childEnv+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS") {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
	return false
}

func missing(t *testing.T, why string) {
	t.Helper()
	if slices.Contains(strings.Split(os.Getenv("TRIBUTARY_REQUIRE"), ","), "kernel") {
		t.Fatal("required: ", why)
	}
	t.Skip(why)
}

// onThread runs fn on a thread that ends with it, so that fn may move it into
// another namespace.
func onThread(fn func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		done <- fn()
	}()
	return <-done
}

// A wire is the way to a host with final servers, 10 ms long in each direction.
// That host has a network namespace of its own.
//
//	this process  10.8.0.1, fd08::1 ── tun ── 10 ms ── tun ── 10.8.1.1, 10.8.2.1, …, fd08:1::1  final servers
type wire struct {
	mu   sync.Mutex
	box  func(p packet) verdict // what a middlebox does on the way to the servers; nil passes all
	seen []packet               // SYNs to the servers
	far  int                    // descriptor of their namespace
}

const wireDelay = 10 * time.Millisecond

var farAddrs = []string{"10.8.1.1", "10.8.2.1", "10.8.3.1", "10.8.4.1", "fd08:1::1"}

// A verdict is what a middlebox does with a packet.
type verdict int

const (
	pass verdict = iota
	drop
	reset
)

// A packet is what a middlebox sees of a TCP segment.
type packet struct {
	to       netip.Addr
	syn, ack bool
	option   bool // TCP Fast Open, with a cookie or asking for one
	cookie   bool
	data     int
}

func newWire(t *testing.T) *wire {
	t.Helper()
	w := &wire{}
	lo, err := netlink.LinkByName("lo")
	if err != nil || netlink.LinkSetUp(lo) != nil {
		t.Fatal("no loopback: ", err)
	}
	near, err := tun("near", []string{"10.8.0.1/8", "fd08::1/16"})
	if err != nil {
		missing(t, err.Error())
	}
	var farTUN *os.File
	err = onThread(func() (err error) {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		if w.far, err = unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
			return err
		}
		var addrs []string
		for _, a := range farAddrs {
			bits := "/8"
			if strings.Contains(a, ":") {
				bits = "/16"
			}
			addrs = append(addrs, a+bits)
		}
		farTUN, err = tun("far", addrs)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	w.sysctl(t, "ipv4/tcp_fastopen", "3")
	var loops sync.WaitGroup
	loops.Go(func() { w.carry(near, farTUN, true) })
	loops.Go(func() { w.carry(farTUN, near, false) })
	t.Cleanup(func() {
		near.Close()
		farTUN.Close()
		loops.Wait()
		unix.Close(w.far)
	})
	return w
}

func tun(name string, addrs []string) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	req, err := unix.NewIfreq(name)
	if err == nil {
		req.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, req)
	}
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	f := os.NewFile(uintptr(fd), name)
	dev, err := netlink.LinkByName(name)
	for _, a := range addrs {
		if err == nil {
			var addr *netlink.Addr
			if addr, err = netlink.ParseAddr(a); err == nil {
				addr.Flags = unix.IFA_F_NODAD
				err = netlink.AddrAdd(dev, addr)
			}
		}
	}
	if err == nil {
		err = netlink.LinkSetUp(dev)
	}
	return f, err
}

// carry takes packets from one host to the other.
func (w *wire) carry(from, to *os.File, up bool) {
	type late struct {
		due  time.Time
		data []byte
	}
	queue := make(chan late, 1000)
	var writing sync.WaitGroup
	writing.Go(func() {
		for l := range queue {
			time.Sleep(time.Until(l.due))
			to.Write(l.data)
		}
	})
	defer writing.Wait()
	defer close(queue)
	for {
		b := make([]byte, 2048)
		n, err := from.Read(b)
		if err != nil {
			return
		}
		v := pass
		if p, ok := parse(b[:n]); ok && up {
			v = w.judge(p)
		}
		switch v {
		case pass:
			queue <- late{time.Now().Add(wireDelay), b[:n]}
		case reset:
			from.Write(resetOf(b[:n]))
		}
	}
}

func (w *wire) judge(p packet) verdict {
	w.mu.Lock()
	defer w.mu.Unlock()
	if p.syn {
		w.seen = append(w.seen, p)
	}
	if w.box == nil {
		return pass
	}
	return w.box(p)
}

// middlebox installs one, or takes it away.
func (w *wire) middlebox(box func(packet) verdict) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.box = box
}

// resetOf answers a SYN over IPv4 as a closed port does (RFC 9293 section 3.10.7.1).
func resetOf(b []byte) []byte {
	tcp := b[20:]
	data := len(tcp) - int(tcp[12]>>4)*4
	r := make([]byte, 40)
	r[0], r[3], r[8], r[9] = 0x45, 40, 64, unix.IPPROTO_TCP
	copy(r[12:], b[16:20])
	copy(r[16:], b[12:16])
	binary.BigEndian.PutUint16(r[10:], checksum(r[:20], 0))
	copy(r[20:], tcp[2:4])
	copy(r[22:], tcp[0:2])
	binary.BigEndian.PutUint32(r[28:], binary.BigEndian.Uint32(tcp[4:])+1+uint32(data))
	r[32], r[33] = 5<<4, 4|16 // RST, ACK
	binary.BigEndian.PutUint16(r[36:], checksum(r[12:], unix.IPPROTO_TCP+20))
	return r
}

func checksum(b []byte, sum uint32) uint16 {
	for ; len(b) > 1; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// syns returns the SYNs seen since it was asked last.
func (w *wire) syns() []packet {
	w.mu.Lock()
	defer w.mu.Unlock()
	defer func() { w.seen = nil }()
	return w.seen
}

func parse(b []byte) (p packet, ok bool) {
	var tcp []byte
	switch {
	case len(b) >= 20 && b[0]>>4 == 4 && b[9] == unix.IPPROTO_TCP:
		p.to, _ = netip.AddrFromSlice(b[16:20])
		tcp = b[int(b[0]&15)*4:]
	case len(b) >= 40 && b[0]>>4 == 6 && b[6] == unix.IPPROTO_TCP:
		p.to, _ = netip.AddrFromSlice(b[24:40])
		tcp = b[40:]
	default:
		return p, false
	}
	header := int(tcp[12]>>4) * 4
	p.syn, p.ack, p.data = tcp[13]&2 != 0, tcp[13]&16 != 0, len(tcp)-header
	for o := tcp[20:header]; len(o) > 1 && o[0] != 0; {
		if o[0] == 1 {
			o = o[1:]
			continue
		}
		n := max(2, int(o[1]))
		if o[0] == 34 || o[0] == 254 && n >= 4 && binary.BigEndian.Uint16(o[2:]) == 0xf989 { // RFC 7413 and its draft
			p.option, p.cookie = true, n > 4
		}
		o = o[min(n, len(o)):]
	}
	return p, true
}

// do runs fn on the final servers' host.
func (w *wire) do(fn func() error) error {
	return onThread(func() error { return errors.Join(unix.Setns(w.far, unix.CLONE_NEWNET), fn()) })
}

func (w *wire) sysctl(t *testing.T, name, value string) {
	t.Helper()
	if err := w.do(func() error { return os.WriteFile("/proc/sys/net/"+name, []byte(value), 0) }); err != nil {
		t.Fatal(err)
	}
}

// serve runs a final server there, which takes data in the SYN if told to.
func (w *wire) serve(t *testing.T, addr string, fastOpen bool, serve func(net.Conn)) netip.AddrPort {
	t.Helper()
	var l net.Listener
	err := w.do(func() (err error) {
		lc := net.ListenConfig{Control: func(_, _ string, rc syscall.RawConn) (err error) {
			return errors.Join(rc.Control(func(fd uintptr) {
				if fastOpen {
					err = unix.SetsockoptInt(int(fd), unix.SOL_TCP, unix.TCP_FASTOPEN, 16)
				}
			}), err)
		}}
		lc.SetMultipathTCP(false)
		l, err = lc.Listen(t.Context(), "tcp", net.JoinHostPort(addr, "0"))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	ctx, end := context.WithCancel(t.Context())
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer context.AfterFunc(ctx, func() { c.Close() })()
				defer c.Close()
				serve(c)
			})
		}
	})
	t.Cleanup(func() { end(); l.Close(); serving.Wait() })
	return l.Addr().(*net.TCPAddr).AddrPort()
}
