package gateway

import (
	"time"

	"tributary/mptcp"
)

// A Status is what a gateway says of itself. Its JSON is a contract: scripts read
// it, so members are only ever added.
type Status struct {
	Ready     bool            `json:"ready"`
	Relay     RelayStatus     `json:"relay"`
	Multipath MultipathStatus `json:"multipath"`
	Links     []LinkStatus    `json:"links"`
	// LinkCare is "on", or what keeps the gateway from caring for its links and
	// how to change that.
	LinkCare string        `json:"link_care"`
	Pool     PoolStatus    `json:"pool"`
	Sessions SessionStatus `json:"sessions"`
}

// RelayStatus is the way to the relay.
type RelayStatus struct {
	Address string  `json:"address"`
	State   string  `json:"state"` // "up", "down", or "connecting" before the first try ended
	RTTms   float64 `json:"rtt_ms"`
	Error   string  `json:"error,omitempty"` // why it is down
	Since   string  `json:"since,omitempty"` // RFC 3339
}

// MultipathStatus says whether this host can use several links at once.
type MultipathStatus struct {
	OK   bool   `json:"ok"`
	Why  string `json:"why,omitempty"` // if not
	Hint string `json:"hint,omitempty"`
}

// LinkStatus is one access link.
type LinkStatus struct {
	Name      string   `json:"name"`
	Mode      string   `json:"mode"`
	State     string   `json:"state"`
	RTTms     float64  `json:"rtt_ms"`
	Loss      float64  `json:"loss"` // share of the bytes sent that had to be sent again
	BytesUp   uint64   `json:"bytes_up"`
	BytesDown uint64   `json:"bytes_down"`
	MPTCP     string   `json:"mptcp"` // "ok", "stripped", "blocked", "off" or "unknown"
	Addresses []string `json:"addresses"`
	Since     string   `json:"since,omitempty"`
	Note      string   `json:"note,omitempty"`
}

// PoolStatus is the warm connections.
type PoolStatus struct {
	Warm   int   `json:"warm"`
	Hits   int64 `json:"hits"`   // requests that found one
	Misses int64 `json:"misses"` // requests that did not
}

// SessionStatus is the requests being carried.
type SessionStatus struct {
	Open  int   `json:"open"`
	Total int64 `json:"total"`
}

// Status returns the state of now.
func (g *Gateway) Status() Status {
	s := Status{Ready: true, Links: []LinkStatus{}, LinkCare: "off"}
	s.Relay, s.Pool = g.pool.status()
	s.Relay.Address = g.upstream.address()
	s.Sessions.Open, s.Sessions.Total = g.sessions.Counts()
	s.Multipath.OK = true
	if err := mptcp.Supported(); err != nil {
		s.Multipath.OK, s.Multipath.Why = false, err.Error()
		if h, ok := err.(interface{ Hint() string }); ok {
			s.Multipath.Hint = h.Hint()
		}
	}
	if g.config.Links == nil {
		return s
	}
	if ok, why := g.config.Links.Managing(); ok {
		s.LinkCare = "on"
	} else {
		s.LinkCare = why
	}
	by := g.flows.byAddress()
	for _, l := range g.config.Links.Links() {
		t := linkOf(l, by)
		ls := LinkStatus{
			Name: l.Name, Mode: l.Mode.String(), State: l.State.String(), Note: l.Note,
			RTTms: ms(t.rtt), BytesUp: t.up, BytesDown: t.down, MPTCP: t.multipath.String(),
			Addresses: []string{}, Since: stamp(l.Since),
		}
		if !s.Multipath.OK {
			ls.MPTCP = "off"
		}
		if t.up > 0 {
			ls.Loss = float64(t.retrans) / float64(t.up+t.retrans)
		}
		for _, a := range l.Addrs {
			ls.Addresses = append(ls.Addresses, a.String())
		}
		s.Links = append(s.Links, ls)
	}
	return s
}

func (p *pool) status() (RelayStatus, PoolStatus) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := RelayStatus{State: "up", RTTms: ms(p.rtt), Since: stamp(p.since)}
	switch {
	case p.err != nil:
		r.State, r.Error = "down", p.err.Error()
	case p.rtt == 0:
		r.State = "connecting"
	}
	return r, PoolStatus{Warm: len(p.idle), Hits: p.hits, Misses: p.misses}
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
