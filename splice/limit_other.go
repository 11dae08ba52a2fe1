//go:build !unix

package splice

// MaxPairs returns how many pairs this process may hold.
func MaxPairs() int { return fallbackPairs }
