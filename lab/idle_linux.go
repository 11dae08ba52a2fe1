package lab

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"time"
)

func idle(ctx context.Context, t *trial) error {
	if err := t.begin(ctx); err != nil {
		return err
	}
	before := make(map[string]uint64)
	for _, name := range t.Network.Links() {
		before[name] = linkBytes(t.Network.Link(name))
	}
	t.step(t.length, "nobody asks for anything")
	if err := sleep(ctx, t.length); err != nil {
		return err
	}
	for _, name := range t.Network.Links() {
		passed := float64(linkBytes(t.Network.Link(name)) - before[name])
		t.figure(name+" at rest, both ways", passed*float64(time.Minute)/float64(t.length)/1e3, "kB/min", nil)
	}
	for _, p := range []*process{t.relay, t.gateway} {
		kib, err := residentKiB(p.Process.Pid)
		if err != nil {
			return err
		}
		t.figure("memory of the "+p.name, float64(kib)/1024, "MiB", nil)
	}
	t.step(time.Second, "one request")
	direct, err := t.firstByte(ctx, Transfer{Dialer: t.home("")}, 3)
	if err != nil {
		return err
	}
	// One alone: it is the first after the rest.
	first, err := t.firstByte(ctx, t.through("", 0), 1)
	if err != nil {
		return err
	}
	t.figure("first byte after the rest", ms(first), "ms", atMost(firstByteMs))
	st, err := t.Status(ctx)
	if err != nil {
		return err
	}
	t.check("the request found a warm connection", st.Pool.Misses == 0, "%d hits, %d misses", st.Pool.Hits, st.Pool.Misses)
	t.check("it is not slower than direct", ms(first) < firstByteSlack*ms(direct), "%.2f of the time", ms(first)/ms(direct))
	return nil
}

// linkBytes are the IP bytes that a link delivered, both ways.
func linkBytes(l *Link) uint64 {
	up, down := l.Counters()
	return up.Bytes + down.Bytes
}

// residentKiB reads VmRSS of proc_pid_status(5).
func residentKiB(pid int) (kib int, err error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(b) {
		if rest, ok := bytes.CutPrefix(line, []byte("VmRSS:")); ok {
			_, err := fmt.Sscan(string(rest), &kib)
			return kib, err
		}
	}
	return 0, fmt.Errorf("process %d has no VmRSS", pid)
}
