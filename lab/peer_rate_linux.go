package lab

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"tributary/lab/load"
)

// Chosen by us: short rounds and many, so that a busy moment of the machine hits both
// servers alike. With fewer clients at once a server would wait for them.
const (
	rateTarget  = 1.2
	rateRounds  = 21
	rateClients = 64

	ratePeerPort  = 1080  // of sing-box, on the host relay
	rateFinalPort = 18080 // of the final server, on the host net
	ratePassword  = "of-the-same-length-as-ours"
)

// A rated server is one of those that are compared.
type rated struct {
	name    string
	process *process
	config  load.Config
	rate    []float64       // connections a second, by round
	cpu     []time.Duration // of the server, for each connection, by round
	own     []time.Duration // of the load, likewise
	busy    []float64       // share of its processor, by round
	failed  int
	failure error
}

// peerRate compares how many connections a second the relay opens with what sing-box
// does. Clients and final server are on the host net, which a pair of virtual
// Ethernet devices connects to the relay's: no emulated link slows them down.
func peerRate(ctx context.Context, t *trial) error {
	path, version, err := findPeer()
	if errors.Is(err, errNoPeer) {
		version = ""
	} else if err != nil {
		return err
	}
	served, loading, err := twoProcessors()
	if err != nil {
		return err
	}
	if err := t.wastePorts(); err != nil {
		return err
	}
	t.Processors = served
	t.step(2*time.Second, "start the relay and %s", cmp.Or(version, "no peer"))
	all, err := t.rated(ctx, path)
	if err != nil {
		return err
	}
	defer func() {
		for _, s := range all[1:] {
			err = errors.Join(err, s.process.stop(syscall.SIGTERM))
		}
	}()
	for round := range rateRounds {
		for i := range all {
			// Whoever comes second finds the ports of the first in TIME-WAIT.
			s := all[(i+round)%len(all)]
			t.step(t.length, "round %d of %d, %s", round+1, rateRounds, s.name)
			if err := t.load(ctx, s, t.length, loading); err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
		}
	}
	t.judgeRate(all, version)
	return nil
}

// wastePorts lets clients and relay open more connections in a minute than there are
// ports.
func (t *trial) wastePorts() error {
	for _, host := range []string{"net", "relay"} {
		for key, value := range map[string]string{"net.ipv4.tcp_tw_reuse": "1", "net.ipv4.ip_local_port_range": "1100 65535", "net.ipv4.ip_local_reserved_ports": "8443,18080"} {
			if err := t.Network.Host(host).Sysctl(key, value); err != nil {
				return err
			}
		}
	}
	return nil
}

// rated starts the servers: ours, and the peer's if there is one.
func (t *trial) rated(ctx context.Context, path string) ([]*rated, error) {
	file := filepath.Join(t.Dir, "relay.toml")
	if err := os.WriteFile(file, []byte("[relay]\ntrust_clear = [\"11.0.0.0/8\"]\n"), 0o600); err != nil {
		return nil, err
	}
	if err := t.StartRelay(ctx, "--config", file, "--shadowsocks", "off"); err != nil {
		return nil, err
	}
	text, err := t.JoinLink()
	if err != nil {
		return nil, err
	}
	link, err := url.Parse(text)
	if err != nil {
		return nil, errors.New("read the relay's join link: not a URL") // it is a secret
	}
	secret, _ := link.User.Password()
	relay := leg4(legRelay, hostEnd).Addr()
	base := load.Config{
		To:        netip.AddrPortFrom(leg4(legRelay, routerEnd).Addr(), rateFinalPort),
		Multipath: true, Clients: rateClients,
	}
	ours := &rated{name: "tributary", process: t.relay, config: base}
	ours.config.Via, ours.config.User, ours.config.Password = netip.AddrPortFrom(relay, RelayPort), link.User.Username(), secret
	if path == "" {
		return []*rated{ours}, nil
	}
	theirs := &rated{name: peerProgram, config: base}
	theirs.config.Via, theirs.config.User, theirs.config.Password = netip.AddrPortFrom(relay, ratePeerPort), "default", ratePassword
	theirs.process, err = t.startPeer(ctx, path, "relay", peerConfig{
		Inbounds: []peerBox{{Type: "socks", Listen: "0.0.0.0", ListenPort: ratePeerPort, Multipath: true,
			Users: []peerUser{{Username: "default", Password: ratePassword}}}},
		Outbounds: []peerBox{{Type: "direct"}},
	})
	return []*rated{ours, theirs}, err
}

// load measures one server for a while.
func (t *trial) load(ctx context.Context, s *rated, length time.Duration, on *unix.CPUSet) error {
	before, err := processorTime(s.process.Process.Pid)
	if err != nil {
		return err
	}
	s.config.For = length
	var r load.Result
	err = t.Network.Host("net").Do(func() error {
		if on != nil {
			if err := unix.SchedSetaffinity(0, on); err != nil {
				return fmt.Errorf("choose a processor: %w", err)
			}
		}
		var err error
		r, err = load.Run(ctx, s.config)
		return err
	})
	if err != nil {
		return err
	}
	after, err := processorTime(s.process.Process.Pid)
	if err != nil {
		return err
	}
	s.rate = append(s.rate, r.Rate())
	s.cpu = append(s.cpu, (after-before)/time.Duration(r.Connections))
	s.own = append(s.own, r.Own/time.Duration(r.Connections))
	s.busy = append(s.busy, 100*float64(after-before)/float64(r.Elapsed))
	if s.failed += r.Failed; s.failure == nil {
		s.failure = r.Failure
	}
	return sleep(ctx, 100*time.Millisecond) // what the last ones left behind
}

// judgeRate compares the servers round by round, of which the median counts: what
// else the machine does lasts longer than a round.
func (t *trial) judgeRate(all []*rated, version string) {
	for _, s := range all {
		t.figure(s.name+": connections opened", median(s.rate), "/s", nil)
		t.figure(s.name+": processor time for each", us(median(s.cpu)), "µs", nil)
		t.figure(s.name+": the load's, on another processor", us(median(s.own)), "µs", nil)
		t.figure(s.name+": its processor was busy", median(s.busy), "%", nil)
		t.check(s.name+": every connection works", s.failed == 0, "%d failed %v", s.failed, orOK(s.failure))
	}
	if len(all) == 1 {
		t.notMeasured("the relay's rate beside "+peerProgram, "it is not installed")
		return
	}
	ours, theirs := all[0], all[1]
	var rates, times []float64
	for i := range ours.rate {
		rates = append(rates, ours.rate[i]/theirs.rate[i])
		times = append(times, us(ours.cpu[i])/us(theirs.cpu[i]))
	}
	t.figure("rate, tributary against "+version, median(rates), "", atLeast(rateTarget))
	t.figure("processor time, tributary against "+version, median(times), "", nil)
}

func us(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }

func median[T cmp.Ordered](all []T) T {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[len(sorted)/2]
}

// twoProcessors returns one for the server under test and another for the load, or
// nil where this process has but one.
func twoProcessors() (served, loading *unix.CPUSet, err error) {
	var all unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		return nil, nil, fmt.Errorf("ask for this process's processors: %w", err)
	}
	var sets []*unix.CPUSet
	for cpu := 0; len(sets) < 2 && cpu < len(all)*strconv.IntSize; cpu++ {
		if all.IsSet(cpu) {
			set := new(unix.CPUSet)
			set.Set(cpu)
			sets = append(sets, set)
		}
	}
	if len(sets) < 2 {
		return nil, nil, nil
	}
	return sets[0], sets[1], nil
}

// processorTime is what a process's threads have used so far.
func processorTime(pid int) (time.Duration, error) {
	var sum time.Duration
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return 0, fmt.Errorf("ask for a program's processor time: %w", err)
	}
	for _, task := range tasks {
		// schedstat's first number: nanoseconds on a processor. /proc/PID/stat counts ticks.
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/schedstat", pid, task.Name()))
		if err != nil {
			continue // it ended just now
		}
		text, _, _ := bytes.Cut(b, []byte(" "))
		ns, err := strconv.ParseInt(string(text), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read a thread's processor time: %w", err)
		}
		sum += time.Duration(ns)
	}
	return sum, nil
}
