package splice

import (
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// An endless framing says its end itself.
type endless struct{ end string }

func (endless) Seal(b, plain []byte) ([]byte, error) { return append(b, plain...), nil }
func (e endless) End(b []byte) []byte                { return append(b, e.end...) }
func (endless) Need() int                            { return 1 }
func (endless) Open(part []byte) ([]byte, error)     { return part, nil }
func (endless) Whole() bool                          { return false }

// A close waits until the peer has all, but not for ever, not after an abort, and not
// where TCP's own end has said that it is over.
func TestCloseWaitsForWhatIsUnderWay(t *testing.T) {
	for _, c := range []struct {
		name    string
		end     string
		arrives time.Duration
		abort   time.Duration // 0 is never
		least   time.Duration
		most    time.Duration
	}{
		{"it arrives", "end", 20 * time.Second, 0, 20 * time.Second, 21 * time.Second},
		{"it has arrived", "end", 0, 0, 0, 0},
		{"it never arrives", "end", time.Hour, 0, outlastTime, outlastTime + time.Second},
		{"it is aborted", "end", time.Hour, 7 * time.Second, 7 * time.Second, 8 * time.Second},
		{"the format has no end", "", time.Hour, 0, 0, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			a, b := net.Pipe()
			defer b.Close()
			go b.Read(make([]byte, 9))
			s := Sealed(a, nil, endless{c.end})
			var there atomic.Bool
			s.Arrived = there.Load
			if c.arrives == 0 {
				there.Store(true)
			} else {
				defer time.AfterFunc(c.arrives, func() { there.Store(true) }).Stop()
			}
			if err := s.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			if c.abort > 0 {
				time.AfterFunc(c.abort, func() { Abort(s) })
			}
			start := time.Now()
			s.Close()
			if took := time.Since(start); took < c.least || took > c.most {
				t.Errorf("%s: closed after %v", c.name, took)
			}
		})
	}
}
