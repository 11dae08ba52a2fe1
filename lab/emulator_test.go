//go:build linux

package lab

import (
	"math"
	"testing"
	"time"
)

// testPipe is a pipe whose packets are put in and taken out at times of the
// test's choice.
func testPipe(t *testing.T, d Direction, seed uint64) *pipe {
	t.Helper()
	p, err := newPipe(nil, nil, d, new(filter), new(tap), seed)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.close() })
	return p
}

// due takes everything out of a pipe and returns when it was due.
func due(p *pipe) (at []time.Duration) {
	var to [batch]queued
	for {
		n, _ := p.pop(to[:], math.MaxInt64/2)
		if n == 0 {
			return at
		}
		for _, k := range to[:n] {
			at = append(at, k.due)
		}
	}
}

func TestPipeRate(t *testing.T) {
	// 1250 bytes at 10 Mbit/s take 1 ms.
	p := testPipe(t, Direction{RateMbit: 10, Delay: 20 * time.Millisecond, Queue: 50 * time.Millisecond}, 1)
	for range 100 {
		p.take(make([]byte, 1250, mtu), time.Second)
	}
	at := due(p)
	if len(at) != 50 {
		t.Errorf("a queue of 50 ms took %d packets of 1 ms, want 50", len(at))
	}
	if d := p.count.get().QueueDrops; d != 50 {
		t.Errorf("%d packets counted as dropped, want 50", d)
	}
	for i, a := range at {
		if want := time.Second + time.Duration(i+1)*time.Millisecond + 20*time.Millisecond; a != want {
			t.Fatalf("packet %d is due at %v, want %v", i, a, want)
		}
	}
	// The line was busy until 1.05 s and idle until 2 s: no credit for that.
	p.take(make([]byte, 1250, mtu), 2*time.Second)
	if at := due(p); len(at) != 1 || at[0] != 2021*time.Millisecond {
		t.Errorf("after a pause due at %v, want 2.021s", at)
	}
}

func TestPipeTakesOnePacketWhateverTheQueue(t *testing.T) {
	p := testPipe(t, Direction{RateMbit: 1, Queue: time.Nanosecond}, 1)
	p.take(make([]byte, 1500), 0)
	p.take(make([]byte, 1500), 0)
	if at := due(p); len(at) != 1 {
		t.Errorf("%d packets passed, want 1", len(at))
	}
}

func TestPipeKeepsOrderWhenTheDelayShrinks(t *testing.T) {
	p := testPipe(t, Direction{Delay: 50 * time.Millisecond}, 1)
	p.take(make([]byte, 100, mtu), 0)
	p.set(Direction{})
	p.take(make([]byte, 100, mtu), time.Millisecond)
	at := due(p)
	if len(at) != 2 || at[0] != 50*time.Millisecond || at[1] < at[0] {
		t.Errorf("due at %v, want the second not before the first", at)
	}
}

func TestPipeForgetsAnOldQueueWhenTheShapeChanges(t *testing.T) {
	p := testPipe(t, Direction{RateMbit: 0.1, Queue: 10 * time.Second}, 1)
	for range 80 { // 0.12 s each
		p.take(make([]byte, 1500), time.Since(p.epoch))
	}
	p.set(Direction{RateMbit: 10, Queue: 100 * time.Millisecond})
	if ahead := p.lineAt - time.Since(p.epoch); ahead > 100*time.Millisecond {
		t.Errorf("the line is taken for %v, want no more than the new queue", ahead)
	}
}

func TestPipeLoss(t *testing.T) {
	run := func(seed uint64) (passed []bool) {
		p := testPipe(t, Direction{Loss: 0.1}, seed)
		for range 10000 {
			before := p.n
			p.take(make([]byte, 40, mtu), 0)
			passed = append(passed, p.n > before)
		}
		if lost := p.count.get().Lost; lost < 800 || lost > 1200 {
			t.Errorf("%d of 10000 packets lost, want about 1000", lost)
		}
		return passed
	}
	a, b, c := run(1), run(1), run(2)
	same := func(x, y []bool) bool {
		for i := range x {
			if x[i] != y[i] {
				return false
			}
		}
		return true
	}
	if !same(a, b) || same(a, c) {
		t.Error("loss does not follow the seed")
	}
}

func TestPipeBoundsMemoryWithoutRate(t *testing.T) {
	p := testPipe(t, Direction{Delay: time.Hour}, 1)
	for range maxHeld/mtu + 10 {
		p.take(make([]byte, mtu), 0)
	}
	if p.held > maxHeld {
		t.Errorf("%d bytes held, at most %d are allowed", p.held, maxHeld)
	}
	if p.count.get().QueueDrops == 0 {
		t.Error("nothing was dropped")
	}
}

func TestPipeDoesNotAllocatePerPacket(t *testing.T) {
	p := testPipe(t, Direction{}, 1)
	var to [batch]queued
	buf := make([]byte, mtu)
	if n := testing.AllocsPerRun(1000, func() {
		buf = p.take(buf[:100], 0)
		n, _ := p.pop(to[:], time.Second)
		for _, k := range to[:n] {
			p.free = append(p.free, k.data[:mtu])
		}
	}); n > 0 {
		t.Errorf("%v allocations per packet", n)
	}
}

func TestSleeper(t *testing.T) {
	s, err := newSleeper()
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if err := s.sleep(3 * time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if d := time.Since(start); d < 3*time.Millisecond || d > 500*time.Millisecond {
		t.Errorf("slept %v, want 3 ms", d)
	}
	time.AfterFunc(10*time.Millisecond, func() { s.close() })
	if err := s.sleep(time.Minute); err == nil {
		t.Error("a closed sleeper slept to its end")
	}
}
