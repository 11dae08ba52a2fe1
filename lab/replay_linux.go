package lab

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"tributary/lab/packet"
)

const (
	replayOpenings = 10_000
	controlCount   = 200 // openings that a relay which forgot has to take
	shadowPort     = 8388
	// validFor is how old an opening may be for a relay to consider it (SIP022).
	validFor = 30 * time.Second
	// produceTime is what the openings may take to be made: those that are older than
	// validFor would prove little.
	produceTime = 20 * time.Second
	// askers and senders work beside each other. The askers are many more than the
	// gateway makes warm connections at once, so that most of their requests are cold.
	askers  = 200
	senders = 24
)

// A flight is the first data of a connection, as it crossed the link: an opening.
type flight struct {
	bytes []byte
	at    time.Time
}

// A replayRun is one run of the scenario.
type replayRun struct {
	*trial
	relayAt string // the Shadowsocks port
}

func replay(ctx context.Context, t *trial) error { return replayWith(ctx, t, replayOpenings) }

func replayWith(ctx context.Context, t *trial, count int) error {
	for _, name := range append(t.Network.Links(), "server") {
		t.Network.Link(name).Set(Shape{}) // no test of time
	}
	if err := t.begin(ctx); err != nil {
		return err
	}
	t.Replay = &Replay{}
	r := &replayRun{trial: t, relayAt: hostPort(t.Network.Addrs(RelayName)[0], shadowPort)}
	t.step(produceTime/2, "capture %d openings", count)
	all, err := r.capture(ctx, count)
	if err != nil {
		return err
	}
	t.Replay.Openings = len(all)
	if len(all) == 0 {
		return errors.New("not one cold opening was seen")
	}
	err = r.all(ctx, all)
	t.Replay.judge(t.Report, count)
	return err
}

// all replays the openings whenever the relay could have forgotten them.
func (r *replayRun) all(ctx context.Context, all []flight) error {
	if err := r.send(ctx, "at once", all); err != nil {
		return err
	}
	if err := r.restart(ctx, syscall.SIGTERM, true); err != nil {
		return err
	}
	if err := r.send(ctx, "after a clean restart", all); err != nil {
		return err
	}
	if err := r.control(ctx, all); err != nil {
		return err
	}
	if err := r.restart(ctx, syscall.SIGKILL, false); err != nil {
		return err
	}
	if err := r.send(ctx, "right after a crash", all); err != nil {
		return err
	}
	r.step(validFor, "wait for the port to open again")
	if err := r.untilOpen(ctx); err != nil {
		return err
	}
	if err := r.send(ctx, "after a crash, the port being open again", all); err != nil {
		return err
	}
	_, works := r.fetch(ctx, "a request works afterwards", 1e5)
	if !works {
		return ctx.Err()
	}
	return nil
}

// control makes the relay forget by taking away its file, and replays the youngest.
func (r *replayRun) control(ctx context.Context, all []flight) error {
	if err := r.StopRelay(syscall.SIGTERM); err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(r.Dir, "relay", "shadowsocks.json")); err != nil {
		return fmt.Errorf("make the relay forget: %w", err)
	}
	if err := r.StartRelay(ctx); err != nil {
		return err
	}
	if err := r.untilOpen(ctx); err != nil {
		return err
	}
	if err := r.send(ctx, "control: to a relay that was made to forget", all[max(0, len(all)-controlCount):]); err != nil {
		return err
	}
	r.Replay.Runs[len(r.Replay.Runs)-1].Control = true
	return nil
}

// restart ends the relay and starts it again.
func (r *replayRun) restart(ctx context.Context, sig syscall.Signal, wait bool) error {
	r.step(4*time.Second, "restart the relay")
	if err := r.StopRelay(sig); err != nil {
		return err
	}
	if err := r.StartRelay(ctx); err != nil {
		return err
	}
	if wait {
		return r.untilOpen(ctx)
	}
	return nil
}

// untilOpen waits for the Shadowsocks port, which stays closed while something
// recorded before could be replayed.
func (r *replayRun) untilOpen(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, 2*validFor, errors.New("the relay's Shadowsocks port stays closed"))
	defer cancel()
	for {
		c, err := r.Network.Host("net").DialContext(ctx, "tcp", r.relayAt)
		if err == nil {
			return c.Close()
		}
		if err := sleep(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
}

// capture has clients ask the gateway for more than its pool can serve, until so
// many cold openings have crossed the links.
func (r *replayRun) capture(ctx context.Context, count int) ([]flight, error) {
	var seen atomic.Int64
	c := r.Network.captureOf(func(link string, up bool, p packet.TCP) int {
		if !up || p.To.Port() != shadowPort || !p.Has(packet.SYN) && len(p.Payload) == 0 {
			return -1
		}
		if _, join := p.Option(packet.Join); p.Has(packet.SYN) && !join {
			seen.Add(1)
		}
		return mtu
	})
	limited, cancel := context.WithTimeout(ctx, produceTime)
	defer cancel()
	done := func() bool { return limited.Err() != nil || seen.Load() >= int64(count) }
	var made, failed atomic.Int64
	each(r.Network.Host("home"), askers, func() {
		for !done() {
			made.Add(1)
			if err := r.hello(); err != nil {
				failed.Add(1)
			}
		}
	})
	events, err := c.Stop()
	if err != nil {
		return nil, err
	}
	r.figure("requests made for that", float64(made.Load()), "", nil)
	r.figure("of them failed", float64(failed.Load()), "", nil)
	return firstFlights(events), ctx.Err()
}

// each runs fn on several threads of a host and waits for all.
func each(h *Host, threads int, fn func()) {
	var all sync.WaitGroup
	for range threads {
		all.Go(func() {
			h.Do(func() error {
				fn()
				return nil
			})
		})
	}
	all.Wait()
}

// hello makes one request through the gateway, on a thread of home, and hangs up so
// that nothing of the connection to the relay can be used again.
func (r *replayRun) hello() error {
	conn, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", ProxyPort), answerLimit)
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.(*net.TCPConn).SetLinger(0)
	conn.SetDeadline(time.Now().Add(answerLimit))
	if err := askSOCKS5.open(conn, r.Network.Addrs(ServerName)[0].String(), PortHTTP); err != nil {
		return err
	}
	if _, err := io.WriteString(conn, "GET /hello HTTP/1.1\r\nHost: lab\r\n\r\n"); err != nil {
		return err
	}
	answer := bufio.NewReader(conn)
	for {
		line, err := answer.ReadString('\n')
		if err != nil || line == "hello\n" {
			return err
		}
	}
}

// firstFlights finds the first flights among the packets: the bytes that follow a SYN
// which joins nothing.
func firstFlights(events []Event) (all []flight) {
	first := map[netip.AddrPort]uint32{}
	for _, e := range events {
		switch _, join := e.Option(packet.Join); {
		case e.Has(packet.SYN) && !join:
			first[e.From] = e.Seq + 1
		case e.Has(packet.SYN):
			delete(first, e.From) // its port was another connection's before
		default:
			if at, ok := first[e.From]; ok && e.Seq == at {
				delete(first, e.From)
				all = append(all, flight{e.Payload, e.Arrived})
			}
		}
	}
	return all
}

// send replays openings from the Internet and enters what became of them.
func (r *replayRun) send(ctx context.Context, when string, all []flight) error {
	r.step(4*time.Second, "replay %d openings %s", len(all), when)
	c := r.Network.captureOf(func(link string, up bool, p packet.TCP) int {
		if link != "server" || !up || p.Flags != packet.SYN {
			return -1
		}
		return 0
	})
	run := ReplayRun{When: when, Sent: len(all)}
	var next, timely, closed, reset, silent, answered atomic.Int64
	each(r.Network.Host("net"), senders, func() {
		for {
			i := int(next.Add(1)) - 1
			if i >= len(all) || ctx.Err() != nil {
				return
			}
			if time.Since(all[i].at) < validFor {
				timely.Add(1)
			}
			n, err := sendAgain(r.relayAt, all[i].bytes)
			switch {
			case n > 0:
				answered.Add(1)
			case errors.Is(err, syscall.ECONNREFUSED):
				closed.Add(1)
			case errors.Is(err, syscall.ECONNRESET):
				reset.Add(1)
			default:
				silent.Add(1)
			}
		}
	})
	// What the relay might still be about to open.
	err := sleep(ctx, time.Second)
	events, cerr := c.Stop()
	run.Timely, run.Closed, run.Reset = int(timely.Load()), int(closed.Load()), int(reset.Load())
	run.Silent, run.Answered, run.Opened = int(silent.Load()), int(answered.Load()), len(events)
	r.Replay.Runs = append(r.Replay.Runs, run)
	return errors.Join(err, cerr)
}

// sendAgain opens a connection, sends an opening and reads the answer.
func sendAgain(to string, b []byte) (n int, err error) {
	c, err := net.DialTimeout("tcp", to, answerLimit)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(2 * time.Second))
	if _, err := c.Write(b); err != nil {
		return 0, err
	}
	return c.Read(make([]byte, 1))
}
