package account

import (
	"fmt"
	"path/filepath"
	"time"
)

const (
	lockName = "accounts.lock"
	lockWait = 10 * time.Second      // a change takes milliseconds: whoever holds it longer is stuck
	lockPoll = 10 * time.Millisecond // people wait for this, not packets
)

// lock keeps other processes from changing the accounts of dir until unlock is
// called. Readers need no lock.
func lock(dir string) (unlock func(), err error) {
	path := filepath.Join(dir, lockName)
	for end := time.Now().Add(lockWait); ; time.Sleep(lockPoll) {
		unlock, err := tryLock(path)
		if err != nil {
			return nil, fmt.Errorf("lock accounts: %w", err)
		}
		if unlock != nil {
			return unlock, nil
		}
		if time.Now().After(end) {
			return nil, fmt.Errorf("lock accounts: another process has held %s for %v", path, lockWait)
		}
	}
}
