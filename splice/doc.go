// Package splice joins two streams until both have ended.
//
// Each direction is one goroutine. Where both sides are bare TCP or MPTCP
// sockets the kernel moves the bytes with splice(2); elsewhere, which means
// where one side is encrypted, a pooled buffer carries them. Pipes and buffers
// are taken when a stream has something to read and given back before anybody
// waits, so that an idle pair costs two goroutines and nothing else.
//
// An end of stream is passed on as an end of stream (half-close) and a reset as
// a reset: what was cut off never looks complete.
package splice
