package lab

import (
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"tributary/lab/packet"
)

const (
	mtu = 1500
	// slack is how early a packet may leave: those due within it leave together,
	// which halves the wake-ups at 50 Mbit/s and stays far below 1 ms.
	slack = 200 * time.Microsecond
	// batch is how many packets leave under one lock.
	batch = 32
	// maxHeld bounds what an unlimited direction holds: at the server leg's 10 ms
	// it is more than 10 Gbit/s.
	maxHeld = 16 << 20
)

// A pipe carries packets from one TUN device to another in one direction:
//
//	in ─▶ filter ─▶ loss ─▶ drop-tail queue at the rate ─▶ delay line ─▶ out
//
// Queue and delay line are one ring of packets, each with the time at which it
// is due. The time follows from a virtual clock, the moment at which the line
// will have sent all it took; so late wake-ups cost accuracy of single packets,
// but no rate.
type pipe struct {
	in, out *os.File
	timer   *sleeper
	epoch   time.Time
	filter  *filter
	tap     *tap
	up      bool // leads away from home
	count   counters

	mu      sync.Mutex
	shape   Direction
	rand    *rand.Rand
	lineAt  time.Duration // when the line will have sent all it took
	lastDue time.Duration
	ring    []queued
	head, n int
	held    int
	free    [][]byte

	filled chan struct{} // the ring is no longer empty
	closed chan struct{}
}

type queued struct {
	data      []byte
	came, due time.Duration
}

type counters struct {
	packets, bytes, datagrams, queueDrops, lost, filtered atomic.Uint64
}

func newPipe(in, out *os.File, shape Direction, f *filter, t *tap, seed uint64) (*pipe, error) {
	timer, err := newSleeper()
	if err != nil {
		return nil, err
	}
	return &pipe{
		in: in, out: out, timer: timer, epoch: time.Now(), filter: f, tap: t, shape: shape,
		rand:   rand.New(rand.NewPCG(seed, 0x6c6162)),
		ring:   make([]queued, 256),
		filled: make(chan struct{}, 1),
		closed: make(chan struct{}),
	}, nil
}

func (p *pipe) set(d Direction) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.shape = d
	p.lineAt = min(p.lineAt, time.Since(p.epoch)+p.queueLength())
}

func (p *pipe) queueLength() time.Duration {
	if p.shape.Queue > 0 {
		return p.shape.Queue
	}
	return defaultQueue
}

// read moves packets from the device into the ring until the device is closed.
func (p *pipe) read() {
	buf := make([]byte, mtu)
	for {
		n, err := p.in.Read(buf)
		if err != nil {
			select {
			case <-p.closed:
				return
			default:
				// The interface is being taken down; it comes back or is closed.
				time.Sleep(time.Millisecond)
				continue
			}
		}
		if !p.filter.pass(buf[:n]) {
			p.count.filtered.Add(1)
			continue
		}
		buf = p.take(buf[:n], time.Since(p.epoch))
	}
}

// take puts a packet that came at now into the ring, or drops it, and returns a
// buffer for the next one.
func (p *pipe) take(b []byte, now time.Duration) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.shape.Loss > 0 && p.rand.Float64() < p.shape.Loss {
		p.count.lost.Add(1)
		return b[:mtu]
	}
	due := now
	if p.shape.RateMbit > 0 {
		sending := time.Duration(float64(len(b)) * 8e3 / p.shape.RateMbit)
		start := max(p.lineAt, now)
		if start > now && start+sending-now > p.queueLength() {
			p.count.queueDrops.Add(1)
			return b[:mtu]
		}
		p.lineAt = start + sending
		due = p.lineAt
	} else if p.held+len(b) > maxHeld {
		p.count.queueDrops.Add(1)
		return b[:mtu]
	}
	// A shorter delay set meanwhile must not reorder.
	p.lastDue = max(p.lastDue, due+p.shape.Delay)
	p.push(queued{b, now, p.lastDue})
	if n := len(p.free); n > 0 {
		b, p.free = p.free[n-1], p.free[:n-1]
		return b
	}
	return make([]byte, mtu)
}

func (p *pipe) push(k queued) {
	if p.n == len(p.ring) {
		bigger := make([]queued, 2*len(p.ring))
		copy(bigger[copy(bigger, p.ring[p.head:]):], p.ring[:p.head])
		p.ring, p.head = bigger, 0
	}
	p.ring[(p.head+p.n)%len(p.ring)] = k
	p.n++
	p.held += len(k.data)
	if p.n == 1 {
		select {
		case p.filled <- struct{}{}:
		default:
		}
	}
}

// write moves packets from the ring to the other device until the pipe is closed.
func (p *pipe) write() {
	var due [batch]queued
	for {
		now := time.Since(p.epoch)
		n, wait := p.pop(due[:], now)
		switch {
		case n > 0:
			p.deliver(due[:n])
		case wait > 0:
			if p.timer.sleep(wait) != nil {
				return
			}
		default:
			select {
			case <-p.filled:
			case <-p.closed:
				return
			}
		}
	}
}

// pop takes the packets that are due, or tells how long until the first one is;
// 0 when there is none.
func (p *pipe) pop(to []queued, now time.Duration) (n int, wait time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for n < len(to) && p.n > 0 && p.ring[p.head].due <= now+slack {
		to[n] = p.ring[p.head]
		p.held -= len(to[n].data)
		p.head = (p.head + 1) % len(p.ring)
		p.n--
		n++
	}
	if n == 0 && p.n > 0 {
		wait = p.ring[p.head].due - now
	}
	return n, wait
}

func (p *pipe) deliver(packets []queued) {
	for _, k := range packets {
		if p.filter.silent.Load() {
			p.count.filtered.Add(1)
			continue
		}
		p.tap.saw(p.up, k.data, p.epoch.Add(k.came), time.Now())
		// An interface that is down refuses the packet, as a pulled cable loses it.
		if _, err := p.out.Write(k.data); err == nil {
			p.count.packets.Add(1)
			p.count.bytes.Add(uint64(len(k.data)))
			if packet.IsDatagram(k.data) {
				p.count.datagrams.Add(uint64(len(k.data)))
			}
		}
	}
	p.mu.Lock()
	for _, k := range packets {
		p.free = append(p.free, k.data[:mtu])
	}
	p.mu.Unlock()
}

// close ends both loops once the devices are closed too.
func (p *pipe) close() error {
	close(p.closed)
	return p.timer.close()
}

func (p *pipe) get() Direction {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.shape
}

func (c *counters) get() Counters {
	return Counters{
		Packets: c.packets.Load(), Bytes: c.bytes.Load(), Datagrams: c.datagrams.Load(),
		QueueDrops: c.queueDrops.Load(), Lost: c.lost.Load(), Filtered: c.filtered.Load(),
	}
}
