package relay

import (
	"encoding/binary"
	"testing"
	"time"

	"tributary/proxy"
)

func TestFlowsAreFirstOnce(t *testing.T) {
	f := newFlows()
	start := time.Unix(1_000_000, 0)
	flow := func(n uint64) (x proxy.Flow) {
		binary.BigEndian.PutUint64(x[:], f.instance)
		binary.BigEndian.PutUint64(x[8:], n)
		return x
	}
	// However the memory turns over meanwhile, a second request within the time is
	// seen to be one.
	for offset := time.Duration(0); offset < 2*flowMemory; offset += flowMemory / 7 {
		at := start.Add(10*offset + offset)
		n := uint64(offset)
		if !f.first(flow(n), at) {
			t.Fatalf("%v: not first", offset)
		}
		for i := range uint64(5) {
			f.first(flow(1e12+n*10+i), at.Add(flowMemory/5*time.Duration(i)))
		}
		if f.first(flow(n), at.Add(flowMemory)) {
			t.Fatalf("%v: first again", offset)
		}
	}
	if len(f.now)+len(f.old) > 20 {
		t.Errorf("%d are remembered", len(f.now)+len(f.old))
	}
	later := start.Add(time.Hour)
	if !f.first(flow(0), later) {
		t.Error("never forgotten")
	}
	f.first(flow(1), later.Add(3*flowMemory))
	if len(f.now)+len(f.old) != 1 {
		t.Errorf("%d are remembered after a rest", len(f.now)+len(f.old))
	}
}

func TestFlowsOfAnotherRunAreNotOpened(t *testing.T) {
	f := newFlows()
	other := proxy.Flow{15: 1}
	binary.BigEndian.PutUint64(other[:], f.instance+1)
	if f.first(other, time.Now()) {
		t.Error("a flow of another run is first")
	}
}
