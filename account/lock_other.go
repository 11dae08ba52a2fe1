//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package account

import (
	"errors"
	"os"
	"time"
)

// stale is the age at which a lock file is taken to be left over from a process
// that died: here nobody gives it back in its name.
const stale = 5 * time.Second

// tryLock takes the lock by making a file that must not exist yet. Both results
// are nil while somebody else holds it.
func tryLock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err == nil {
		f.Close()
		return func() { os.Remove(path) }, nil
	}
	info, statErr := os.Stat(path)
	if statErr != nil {
		if errors.Is(statErr, os.ErrNotExist) && errors.Is(err, os.ErrExist) {
			return nil, nil // given back between the two calls
		}
		return nil, err
	}
	if time.Since(info.ModTime()) > stale {
		os.Remove(path)
	}
	return nil, nil
}

// giveTo does nothing here: files belong to whoever the directory says.
func giveTo(*os.File, os.FileInfo) error { return nil }
