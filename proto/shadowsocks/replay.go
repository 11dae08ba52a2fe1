package shadowsocks

import (
	"sync"
	"time"
)

// maxSalts bounds the memory of a [Replay] to some 50 MB. Only holders of an
// account's key can fill it.
const maxSalts = 1 << 20

// A Replay remembers openings exactly, so that none is accepted twice. It keeps
// every salt for as long as its timestamp could be accepted (SIP022 asks for 60 s),
// and forgets only together with raising a floor: an opening whose timestamp is
// not above the floor is refused unseen. So it stays exact whatever the clock
// does, and across a restart if the new Replay's floor is the old one's
// [Replay.Newest].
type Replay struct {
	mu     sync.Mutex
	floor  int64
	newest int64
	salts  map[int64]map[Salt]struct{} // by timestamp
	count  int
}

// NewReplay makes a Replay that refuses every timestamp up to and including floor,
// in seconds since 1970.
func NewReplay(floor int64) *Replay {
	return &Replay{floor: floor, newest: floor, salts: make(map[int64]map[Salt]struct{})}
}

// Newest returns the highest timestamp accepted so far, or the first floor.
func (r *Replay) Newest() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.newest
}

// Check accepts an authentic opening once. The timestamp is already known to be
// within [Window] of now.
func (r *Replay) Check(salt Salt, timestamp int64, now time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forget(now.Unix() - Window - 1)
	for r.count >= maxSalts {
		oldest := r.newest
		for t := range r.salts {
			oldest = min(oldest, t)
		}
		r.forget(oldest)
	}
	if timestamp <= r.floor {
		return ErrReplay
	}
	if _, seen := r.salts[timestamp][salt]; seen {
		return ErrReplay
	}
	if r.salts[timestamp] == nil {
		r.salts[timestamp] = make(map[Salt]struct{})
	}
	r.salts[timestamp][salt] = struct{}{}
	r.count++
	r.newest = max(r.newest, timestamp)
	return nil
}

// forget drops the salts of timestamps up to and including t. There are at most
// about a hundred different ones.
func (r *Replay) forget(t int64) {
	for at, salts := range r.salts {
		if at <= t {
			r.count -= len(salts)
			r.floor = max(r.floor, at)
			delete(r.salts, at)
		}
	}
}
