package link

import (
	"encoding/binary"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// A fakeSocket delivers events, then fails, or waits for its close.
type fakeSocket struct {
	events []netlink.Message
	fail   error
	closed chan struct{}
}

func (s *fakeSocket) Receive() ([]netlink.Message, error) {
	if events := s.events; events != nil {
		s.events = nil
		return events, nil
	}
	if s.fail != nil {
		return nil, s.fail
	}
	<-s.closed
	return nil, errors.New("use of closed file")
}

func (s *fakeSocket) Close() error {
	close(s.closed)
	return nil
}

// TestEventsGoOn has the socket fail, and opening another one as well: events are read
// again all the same, what was missed is looked at, and it is said once for each try.
func TestEventsGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := binary.NativeEndian.AppendUint32(make([]byte, 8, unix.SizeofIfInfomsg), 0)
		down = append(down, 0, 0, 0, 0)
		gone := []netlink.Message{{Header: netlink.Header{Type: unix.RTM_NEWLINK}, Data: down}}
		tries := []any{
			&fakeSocket{fail: unix.EIO, closed: make(chan struct{})},
			unix.EMFILE,
			&fakeSocket{events: gone, closed: make(chan struct{})},
		}
		var opened atomic.Int32
		var text strings.Builder
		e, err := newEvents(func() (receiver, error) {
			switch try := tries[opened.Add(1)-1].(type) {
			case error:
				return nil, try
			default:
				return try.(receiver), nil
			}
		}, slog.New(slog.NewTextHandler(&text, nil)))
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(retry / 2)
		if n := opened.Load(); n != 1 {
			t.Errorf("%d sockets without a pause", n)
		}
		time.Sleep(retry * 3)
		synctest.Wait()
		if got := e.alarm.take(); got != all|now {
			t.Errorf("signals %b, want all and now", got)
		}
		must(t, e.close())
		if n := strings.Count(text.String(), "level=WARN"); n != 2 || !strings.Contains(text.String(), unix.EIO.Error()) {
			t.Errorf("told %d times:\n%s", n, text.String())
		}
	})
}

// TestEventsEnd closes while another socket is waited for.
func TestEventsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, err := newEvents(func() (receiver, error) {
			return &fakeSocket{fail: unix.EIO, closed: make(chan struct{})}, nil
		}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Minute)
		must(t, e.close())
	})
}
