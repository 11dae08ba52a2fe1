package gateway

import (
	"fmt"
	"strings"
	"time"

	"tributary/health"
	"tributary/link"
	"tributary/mptcp"
	"tributary/upkeep"
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
	// Decisions are the last that were made about links, oldest first, 50 at most.
	Decisions []Decision `json:"decisions"`
	// Now is the gateway's clock, to which all times belong (RFC 3339, milliseconds).
	Now string `json:"now"`
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
	// Congestion is the congestion control of connections to the relay, for what is
	// sent from here.
	Congestion string `json:"congestion,omitempty"`
}

// LinkStatus is one access link.
type LinkStatus struct {
	Name      string  `json:"name"`
	Mode      string  `json:"mode"`
	State     string  `json:"state"`
	RTTms     float64 `json:"rtt_ms"`
	Loss      float64 `json:"loss"` // share of the bytes sent that had to be sent again
	BytesUp   uint64  `json:"bytes_up"`
	BytesDown uint64  `json:"bytes_down"`
	MPTCP     string  `json:"mptcp"`               // a passage.Verdict, or "off"
	MPTCPWhy  string  `json:"mptcp_why,omitempty"` // what keeps it out of the bundle, in words
	// MPTCPWays say the same of each way of the link: from an address to a port.
	MPTCPWays []WayStatus `json:"mptcp_ways,omitempty"`
	Addresses []string    `json:"addresses"`
	Since     string      `json:"since,omitempty"`
	Note      string      `json:"note,omitempty"`
	// Health is what probes and traffic say: "alive", "doubtful", "dead" or "unknown",
	// HealthWhy the evidence, and ProbeLoss the percentage of the last probes that was
	// not answered.
	Health      string `json:"health"`
	HealthWhy   string `json:"health_why,omitempty"`
	HealthSince string `json:"health_since,omitempty"`
	// ProbeRTTms is the round trip of probes, smoothed, with the queues of now, and
	// LeastRTTms the least of the last minutes; 0 without an answer.
	ProbeRTTms float64 `json:"probe_rtt_ms"`
	LeastRTTms float64 `json:"least_rtt_ms"`
	JitterMs   float64 `json:"jitter_ms"`
	ProbeLoss  float64 `json:"probe_loss"`
	// RateUp and RateDown are what the link carries now, in bit/s of payload: the mean
	// of the last one to two seconds. Share is its part of what all links carry, both
	// ways, from 0 to 1; 0 while nothing flows.
	RateUp   float64 `json:"rate_up"`
	RateDown float64 `json:"rate_down"`
	Share    float64 `json:"share"`
	// Role is the part that the link plays in the bundle: "full", "backup" or "out"; the
	// reason in a word or two, the evidence in words, and since when.
	Role       string `json:"role"`
	RoleReason string `json:"role_reason,omitempty"`
	RoleWhy    string `json:"role_why,omitempty"`
	RoleSince  string `json:"role_since,omitempty"`
	// UpkeepBytes are those of the last 24 hours that warm connections have taken
	// for themselves, as IP packets both ways; Metered is whether there is a budget
	// for that.
	UpkeepBytes uint64 `json:"upkeep_bytes"`
	Metered     bool   `json:"metered"`
	// Usage is what the link has carried in its billing month.
	Usage *UsageStatus `json:"usage,omitempty"`
}

// PoolStatus is the warm connections.
type PoolStatus struct {
	Warm   int   `json:"warm"`
	Hits   int64 `json:"hits"`   // requests that found one
	Misses int64 `json:"misses"` // requests that did not
	// Recycled are the hits whose connection had carried another request before, Raced
	// the requests that were sent over two links, and Won those of them that the second
	// one won.
	Recycled int64 `json:"recycled"`
	Raced    int64 `json:"raced"`
	Won      int64 `json:"won"`
	// Upkeep is how sparing the pool is: "plenty", "saving", "scant" or "spent".
	Upkeep string `json:"upkeep"`
	// What it does at rest, in seconds: how often each subflow is probed, and how long
	// a connection lasts on average.
	ProbeSeconds float64 `json:"probe_s"`
	LastsSeconds float64 `json:"lasts_s"`
}

// SessionStatus is the requests being carried.
type SessionStatus struct {
	Open  int   `json:"open"`
	Total int64 `json:"total"`
	// List has the sessions themselves, and LeftOut how many of them it does not name,
	// for those who ask for it; see [Gateway.ListSessions].
	List    []Session `json:"list,omitempty"`
	LeftOut int       `json:"left_out,omitempty"`
}

// Status returns the state of now.
func (g *Gateway) Status() Status {
	s := Status{Ready: true, Links: []LinkStatus{}, LinkCare: "off", Now: exactly(time.Now()), Decisions: g.decisions()}
	s.Relay, s.Pool = g.pool.status()
	s.Pool.Raced, s.Pool.Won = g.upstream.raced.Load(), g.upstream.won.Load()
	s.Relay.Address = g.upstream.address()
	s.Sessions.Open, s.Sessions.Total = g.sessions.Counts()
	s.Multipath.OK = true
	s.Multipath.Congestion, _ = mptcp.NewCongestion() // the log has the reason for another one
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
	seen := map[string]health.Status{}
	if g.monitor != nil {
		for _, h := range g.monitor.Status() {
			seen[h.Name] = h
		}
	}
	g.owners.note(g.config.Links.Links())
	ways := g.ways()
	for _, l := range g.config.Links.Links() {
		s.Links = append(s.Links, g.linkStatus(l, g.owners.sum(l.Name, by), seen[l.Name]))
		s.Links[len(s.Links)-1].MPTCPWays = ways[l.Name]
		if !s.Multipath.OK {
			s.Links[len(s.Links)-1].MPTCP = "off"
		}
	}
	s.share()
	return s
}

// linkStatus is the state of a link, by what it carried and what is thought of it.
func (g *Gateway) linkStatus(l link.Link, t traffic, h health.Status) LinkStatus {
	way := g.passageOf(l)
	ls := LinkStatus{
		Name: l.Name, Mode: l.Mode.String(), State: l.State.String(), Note: l.Note, Since: stamp(l.Since),
		RTTms: ms(t.rtt), BytesUp: t.up, BytesDown: t.down, RateUp: bits(t.upRate), RateDown: bits(t.downRate),
		MPTCP: way.String(), MPTCPWhy: way.Why(), Addresses: []string{},
		Metered: l.Metered, Usage: g.accounts.status(l.Name, time.Now()),
		Health: h.Verdict.State.String(), HealthWhy: h.Verdict.Why, HealthSince: stamp(h.Verdict.Since),
		ProbeRTTms: ms(h.RTT), LeastRTTms: ms(h.MinRTT), JitterMs: ms(h.Jitter), ProbeLoss: h.Loss,
	}
	part, since := g.steering.part(l.Name)
	ls.Role, ls.RoleReason, ls.RoleWhy, ls.RoleSince = l.Role.String(), string(part.Reason), part.Why, stamp(since)
	var short string
	ls.UpkeepBytes, short = g.pool.upkeepOf(l)
	if short != "" {
		ls.Note = strings.TrimPrefix(ls.Note+"; "+short, "; ")
	}
	if t.up > 0 {
		ls.Loss = float64(t.retrans) / float64(t.up+t.retrans)
	}
	for _, a := range l.Addrs {
		ls.Addresses = append(ls.Addresses, a.String())
	}
	return ls
}

// share tells the links' parts of the traffic.
func (s *Status) share() {
	sum := 0.0
	for _, l := range s.Links {
		sum += l.RateUp + l.RateDown
	}
	for i := range s.Links {
		if l := &s.Links[i]; sum > 0 {
			l.Share = (l.RateUp + l.RateDown) / sum
		}
	}
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
	return r, PoolStatus{
		Warm: len(p.idle), Hits: p.hits, Misses: p.misses, Recycled: p.recycled, Upkeep: p.ledger.level.String(),
		ProbeSeconds: p.probe().Seconds(), LastsSeconds: (warmAge - warmSpread/2).Seconds(),
	}
}

// upkeepOf returns what a link has borne for the pool in 24 hours, and what is to
// be said about it if the pool has to be sparing.
func (p *pool) upkeepOf(l link.Link) (bytes uint64, note string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	bytes = p.ledger.books.Spent(l.Name, time.Now())
	level := upkeep.Of(bytes, upkeep.Budget)
	if !l.Metered || level == upkeep.Plenty {
		return bytes, ""
	}
	return bytes, fmt.Sprintf("metered, and warm connections took %.1f of %.1f MB in 24 h: %s",
		float64(bytes)/1e6, float64(upkeep.Budget)/1e6, map[upkeep.Thrift]string{
			upkeep.Saving: "bursts get no more of them than other requests",
			upkeep.Scant:  fmt.Sprintf("just %d are kept", poolScant),
			upkeep.Spent:  "none are kept, and requests take a round trip more",
		}[level])
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
