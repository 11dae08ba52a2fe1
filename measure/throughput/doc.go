// Package throughput measures what links carry: each alone, all at the same time,
// and the bundle of them, and says in words what that means.
//
// All at the same time is the test that others leave out: two links that share a
// line, a mast or a router are as fast as ever alone, and can never add up.
package throughput
