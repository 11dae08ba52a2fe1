package relay

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"tributary/proxy"
)

// flowMemory is for how long a flow is remembered, at least. Gateways ask a second
// time within seconds; this is about requests that a dead link has held back.
const flowMemory = 30 * time.Second

var errDuplicate = errors.New("the stream was asked for on another connection, or of an earlier run")

// flows knows the streams that gateways have asked for lately. One that is in
// doubt about a link asks for a stream on two connections over different links;
// it is opened once, for the one that comes first.
//
// What an earlier run of the relay has opened is not known any more. So the first
// half of a flow is the instance, which each run draws anew and which gateways
// learn from the certificate; those of another one are never opened.
type flows struct {
	instance uint64

	mu       sync.Mutex
	now, old map[proxy.Flow]struct{} // those since, and of the time before
	since    time.Time
}

func newFlows() *flows {
	return &flows{instance: 1 + rand.Uint64N(1<<63-1)} // serial numbers are positive
}

// once refuses a request whose flow was there before. Without a flow all are
// first.
func (f *flows) once(req *proxy.Request, flow proxy.Flow) (*proxy.Request, error) {
	if flow == (proxy.Flow{}) || f.first(flow, time.Now()) {
		return req, nil
	}
	req.Refuse(proxy.Duplicate)
	return nil, errDuplicate
}

func (f *flows) first(flow proxy.Flow, now time.Time) bool {
	if binary.BigEndian.Uint64(flow[:8]) != f.instance {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if now.Sub(f.since) >= flowMemory {
		f.old, f.now = f.now, make(map[proxy.Flow]struct{})
		if now.Sub(f.since) >= 2*flowMemory {
			f.old = nil
		}
		f.since = now
	}
	_, before := f.now[flow]
	if !before {
		_, before = f.old[flow]
	}
	f.now[flow] = struct{}{}
	return !before
}
