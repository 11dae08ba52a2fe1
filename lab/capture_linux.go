package lab

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"tributary/lab/packet"
)

// maxEvents bounds a capture's memory to some 100 MB.
const maxEvents = 500_000

// A tap hands a link's packets to a capture, if there is one.
type tap struct {
	link    string
	capture atomic.Pointer[Capture]
}

func (t *tap) saw(up bool, b []byte, sent, arrived time.Time) {
	if c := t.capture.Load(); c != nil {
		c.add(t.link, up, b, sent, arrived)
	}
}

// A Capture records the TCP packets of all links. Only one can run in a Network.
type Capture struct {
	network *Network
	keep    keeper
	lo      *os.File // a packet socket, if home's loopback is recorded
	reader  sync.WaitGroup

	mu     sync.Mutex
	events []Event
}

// A keeper says how much of a packet's payload an Event shall hold; a negative number
// leaves the packet out.
type keeper func(link string, up bool, p packet.TCP) int

// Capture starts to record what all links deliver. With loopback it records also
// what the clients at home say to the gateway at proxyPort. Stop ends it.
func (n *Network) Capture(loopback bool) (*Capture, error) {
	c := &Capture{network: n, keep: func(string, bool, packet.TCP) int { return payloadKept }}
	if loopback {
		if err := c.listen(n.Host("home")); err != nil {
			return nil, fmt.Errorf("record the loopback: %w", err)
		}
	}
	c.tap()
	return c, nil
}

// captureOf records only what the keeper wants of the links.
func (n *Network) captureOf(keep keeper) *Capture {
	c := &Capture{network: n, keep: keep}
	c.tap()
	return c
}

func (c *Capture) tap() {
	for _, l := range c.network.links {
		l.tap.capture.Store(c)
	}
}

// Stop ends the recording and returns the packets in the order of their sending.
func (c *Capture) Stop() ([]Event, error) {
	for _, l := range c.network.links {
		l.tap.capture.Store(nil)
	}
	var err error
	if c.lo != nil {
		err = c.lo.Close()
	}
	c.reader.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.events) == maxEvents {
		err = errors.Join(err, fmt.Errorf("the capture is full after %d packets", maxEvents))
	}
	slices.SortStableFunc(c.events, func(a, b Event) int {
		return cmp.Or(a.Sent.Compare(b.Sent), cmp.Compare(a.Link, b.Link), cmp.Compare(a.Seq, b.Seq))
	})
	return c.events, err
}

// add runs between a link's clock and its wire: it has to be quick.
func (c *Capture) add(link string, up bool, b []byte, sent, arrived time.Time) {
	p, ok := packet.Decode(b)
	if !ok {
		return
	}
	n, kept := len(p.Payload), c.keep(link, up, p)
	if kept < 0 {
		return
	}
	p.Payload = bytes.Clone(p.Payload[:min(n, kept)])
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.events) < maxEvents {
		c.events = append(c.events, Event{Link: link, Up: up, Sent: sent, Arrived: arrived, TCP: p, Length: n})
	}
}

// listen opens a packet(7) socket on the loopback device.
func (c *Capture) listen(h *Host) error {
	all := uint16(unix.ETH_P_ALL>>8 | unix.ETH_P_ALL&0xff<<8) // in network byte order
	err := h.Do(func() error {
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, int(all))
		if err != nil {
			return err
		}
		// The loopback is the first device of every namespace.
		if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: 1}); err != nil {
			unix.Close(fd)
			return err
		}
		c.lo = os.NewFile(uintptr(fd), "lo")
		return nil
	})
	if err == nil {
		c.reader.Go(c.readLoopback)
	}
	return err
}

// readLoopback records each packet once: the device sends what it receives.
func (c *Capture) readLoopback() {
	raw, err := c.lo.SyscallConn()
	if err != nil {
		return
	}
	buf := make([]byte, 1<<16)
	for {
		n, outgoing := 0, false
		var rerr error
		err := raw.Read(func(fd uintptr) bool {
			var from unix.Sockaddr
			n, from, rerr = unix.Recvfrom(int(fd), buf, 0)
			if ll, ok := from.(*unix.SockaddrLinklayer); ok {
				outgoing = ll.Pkttype == unix.PACKET_OUTGOING
			}
			return rerr != unix.EAGAIN
		})
		if err != nil || rerr != nil {
			return
		}
		if p, ok := packet.Decode(buf[:n]); ok && outgoing && (p.To.Port() == ProxyPort || p.From.Port() == ProxyPort) {
			now := time.Now()
			c.add("lo", p.To.Port() == ProxyPort, buf[:n], now, now)
		}
	}
}
