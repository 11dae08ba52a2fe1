package proxy

// A Flow names a stream that a gateway of ours asks for, so that it can ask for it
// on several connections at once: the relay opens one. The zero Flow is none.
type Flow [16]byte
