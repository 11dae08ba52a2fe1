//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package account

import (
	"errors"
	"os"
	"syscall"
)

// tryLock takes the lock with flock(2), which the kernel gives back when its
// holder dies. Both results are nil while somebody else holds it. The file
// stays: removing it would let two processes lock two files of one name.
func tryLock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_RDONLY|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	switch {
	case err == nil:
		if err = giveTo(f, ownerLike(path[:len(path)-len(lockName)])); err == nil {
			return func() { f.Close() }, nil
		}
	case errors.Is(err, syscall.EWOULDBLOCK), errors.Is(err, syscall.EINTR):
		err = nil
	}
	f.Close()
	return nil, err
}

// giveTo makes f belong to the user and group of info. Only root can, and only
// root needs to.
func giveTo(f *os.File, info os.FileInfo) error {
	if info == nil || os.Geteuid() != 0 {
		return nil
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	return f.Chown(int(st.Uid), int(st.Gid))
}
