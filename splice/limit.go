package splice

const (
	// reserve is for listeners, netlink, state files, logs and the cached pipes.
	reserve = 64 + 2*maxPipes

	// maxPipes is how many empty pipes are kept for the next busy direction.
	maxPipes = 64

	// fallbackPairs is for systems that do not tell their limit.
	fallbackPairs = 1024

	// mostPairs keeps "unlimited" within what the ports of one address allow.
	mostPairs = 1 << 20
)

func pairsFor(descriptors uint64) int {
	if descriptors <= reserve {
		return 16
	}
	return int(min((descriptors-reserve)/2, mostPairs))
}
