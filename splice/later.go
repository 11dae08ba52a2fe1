package splice

import (
	"sync"
	"time"
)

// later is what a stream has been given to send with its next write. Its methods
// are called while the stream's write lock is held.
type later struct {
	bytes []byte
	timer *time.Timer
}

// set leaves p lying until somebody takes it: at the latest flush, which is called
// with the lock held when the time is over.
func (l *later) set(p []byte, within time.Duration, lock *sync.Mutex, flush func()) {
	l.bytes = p
	l.timer = time.AfterFunc(within, func() {
		lock.Lock()
		defer lock.Unlock()
		if len(l.bytes) > 0 {
			flush()
		}
	})
}

// take returns what lies there, which is then the caller's.
func (l *later) take() (p []byte) {
	if l.timer != nil {
		l.timer.Stop()
		p, l.bytes, l.timer = l.bytes, nil, nil
	}
	return p
}
