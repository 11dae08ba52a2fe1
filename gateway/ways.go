package gateway

// A WayStatus says whether MPTCP passes from one address of a link to one of the relay's
// ports.
type WayStatus struct {
	Address string `json:"address"`
	Port    int    `json:"port"`
	InUse   bool   `json:"in_use"` // connections are opened to this port
	MPTCP   string `json:"mptcp"`  // a passage.Verdict
	// Since is the verdict's; Expires when it is forgotten unless something new is seen,
	// and Next when a probe asks again: neither is there if that will not be.
	Since   string `json:"since,omitempty"`
	Expires string `json:"expires,omitempty"`
	Next    string `json:"next,omitempty"`
}

// ways returns what is known of each link's ways, by its name.
func (g *Gateway) ways() map[string][]WayStatus {
	all := make(map[string][]WayStatus)
	for _, w := range g.passage.Status() {
		all[w.Link] = append(all[w.Link], WayStatus{
			Address: w.Local.String(), Port: int(w.Port), InUse: w.Port == g.passage.Port(), MPTCP: w.Verdict.String(),
			Since: stamp(w.Since), Expires: stamp(w.Expires), Next: stamp(w.Next),
		})
	}
	return all
}
