package lab

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// A sleeper sleeps to within some 0.1 ms. The runtime's timers are good for
// 1 ms only when a process is mostly idle, because epoll counts in whole
// milliseconds; a timerfd makes the poller wake at the kernel's resolution and,
// unlike nanosleep, keeps no thread.
type sleeper struct {
	f   *os.File
	raw interface{ Control(func(uintptr)) error }
}

func newSleeper() (*sleeper, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("create a timer: %w", err)
	}
	f := os.NewFile(uintptr(fd), "timer")
	raw, err := f.SyscallConn()
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("create a timer: %w", err)
	}
	return &sleeper{f: f, raw: raw}, nil
}

// sleep returns after d > 0, or at once with an error when the sleeper is closed.
func (s *sleeper) sleep(d time.Duration) error {
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(d))}
	var err error
	if cerr := s.raw.Control(func(fd uintptr) { err = unix.TimerfdSettime(int(fd), 0, &spec, nil) }); cerr != nil {
		return cerr
	}
	if err != nil {
		return fmt.Errorf("set a timer: %w", err)
	}
	var expired [8]byte
	_, err = s.f.Read(expired[:])
	return err
}

func (s *sleeper) close() error { return s.f.Close() }
