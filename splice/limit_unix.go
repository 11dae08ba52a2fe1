//go:build unix

package splice

import "golang.org/x/sys/unix"

// MaxPairs returns how many pairs this process has descriptors for: two sockets
// each, after what the process itself and the cached pipes need.
func MaxPairs() int {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return fallbackPairs
	}
	return pairsFor(uint64(limit.Cur))
}
