package mptcp

// A Multipath TCP connection has one receive buffer, and in it lies what came over one
// subflow and waits for what was lost on another. Small packets take more of it than the
// window allows for: it can be full before the window is. Linux 6.18 then takes nothing
// more out of subflows, what is missing neither, and the connection stands for ever.
// TestClogged shows it, and the soak met it once in 6,000 sessions. TCP discards in such
// a case what it need not keep (tcp_prune_ofo_queue); MPTCP does not.

// stands reports whether nothing has come on a connection since the last look.
func (k *trimmed) stands(i Connection) bool {
	was := k.received
	k.received = i.BytesReceived
	return i.BytesReceived == was
}
