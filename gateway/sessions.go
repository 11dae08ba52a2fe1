package gateway

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"

	"tributary/link"
	"tributary/mptcp"
	"tributary/mptcp/diag"
	"tributary/proxy"
)

// SessionsMost is how many sessions the API tells of at once: each takes the kernel
// some microseconds and the answer some 700 bytes.
const SessionsMost = 1000

// A SessionList is what a gateway says of the sessions it carries. It names clients
// and whom they talk to. Its JSON is a contract as [Status] is.
type SessionList struct {
	Open    int       `json:"open"`
	Total   int64     `json:"total"` // since the start
	List    []Session `json:"list"`  // the busiest first, then the newest
	LeftOut int       `json:"left_out"`
}

// A Session is one request that is being carried.
type Session struct {
	ID      int64   `json:"id"` // counts the sessions since the start
	Client  string  `json:"client"`
	To      string  `json:"to"`
	Inbound string  `json:"inbound"` // "socks5", "socks4" or "http"
	Account string  `json:"account,omitempty"`
	State   string  `json:"state"` // "opening" until the streams are joined, then "open"
	Since   string  `json:"since"`
	AgeS    float64 `json:"age_s"`
	SetupMs float64 `json:"setup_ms"`
	// Payload, and the rates of the last one to two seconds in bit/s.
	BytesUp   int64   `json:"bytes_up"`
	BytesDown int64   `json:"bytes_down"`
	RateUp    float64 `json:"rate_up"`
	RateDown  float64 `json:"rate_down"`
	// MPTCP is "ok" for a connection to the relay of several subflows or one that may
	// get more, "fallback" for one that became plain TCP, and "none" without a socket.
	MPTCP    string    `json:"mptcp"`
	Subflows []Subflow `json:"subflows"`
}

// A Subflow is one path of a session's connection to the relay.
type Subflow struct {
	Link   string `json:"link"`   // "" for an address that is no link's now
	Local  string `json:"local"`  // address and port
	Remote string `json:"remote"` // the relay's
	State  string `json:"state"`  // "established", "syn-sent", …: TCP's
	// Backup is whether it carries nothing while another subflow can: as the kernel has
	// it, or by the link's role where the kernel does not say.
	Backup bool    `json:"backup"`
	RTTms  float64 `json:"rtt_ms"`
	// What it carried for this session, in bytes with TLS and what was sent by another
	// subflow too. What a subflow carried that has ended is in the session's sum alone.
	BytesUp     uint64 `json:"bytes_up"`
	BytesDown   uint64 `json:"bytes_down"`
	Retransmits uint32 `json:"retransmits"` // segments sent again, since it was opened
	Timeouts    uint8  `json:"timeouts"`    // in a row: above 0 it may be dead
}

// ListSessions returns the sessions of now, most at most. The kernel is asked about
// those that are listed, and only now.
func (g *Gateway) ListSessions(most int) SessionList {
	now := time.Now()
	open := g.sessions.All(now)
	l := SessionList{List: []Session{}}
	l.Open, l.Total = g.sessions.Counts()
	slices.SortFunc(open, func(a, b proxy.Open) int {
		return cmp.Or(cmp.Compare(b.UpRate+b.DownRate, a.UpRate+a.DownRate), cmp.Compare(b.ID, a.ID))
	})
	shown := min(len(open), max(0, most), SessionsMost)
	l.LeftOut = len(open) - shown
	links := g.linksByAddress()
	for _, o := range open[:shown] {
		l.List = append(l.List, g.session(o, links, now))
	}
	l.askFlags()
	return l
}

// askFlags has the kernel say which subflows are backups.
func (l *SessionList) askFlags() {
	known := make(map[uint16]map[diag.Pair]diag.Flags)
	for i := range l.List {
		for j := range l.List[i].Subflows {
			f := &l.List[i].Subflows[j]
			local, lerr := netip.ParseAddrPort(f.Local)
			remote, rerr := netip.ParseAddrPort(f.Remote)
			if lerr != nil || rerr != nil {
				continue
			}
			pair, port := diag.Pair{Local: local, Remote: remote}, remote.Port()
			if _, asked := known[port]; !asked {
				known[port], _ = diag.Subflows(port) // where it fails, roles have to do
			}
			if flags, ok := known[port][pair]; ok {
				f.Backup = flags.Backup()
			}
		}
	}
}

// linksByAddress returns whose address each is.
func (g *Gateway) linksByAddress() map[netip.Addr]link.Link {
	all := map[netip.Addr]link.Link{}
	if g.config.Links == nil {
		return all
	}
	for _, l := range g.config.Links.Links() {
		for _, a := range l.Addrs {
			all[a] = l
		}
	}
	return all
}

func (g *Gateway) session(o proxy.Open, links map[netip.Addr]link.Link, now time.Time) Session {
	s := Session{
		ID: o.ID, Client: o.From.String(), To: o.To.String(), Inbound: o.Inbound, Account: o.User,
		State: "opening", Since: stamp(o.Start), AgeS: now.Sub(o.Start).Seconds(), SetupMs: ms(o.Setup),
		BytesUp: o.Up, BytesDown: o.Down, RateUp: bits(o.UpRate), RateDown: bits(o.DownRate),
		MPTCP: "none", Subflows: []Subflow{},
	}
	if o.Server == nil {
		return s
	}
	s.State = "open"
	socket := socketOf(o.Server)
	if socket == nil {
		return s
	}
	full, err := mptcp.FullInfo(socket)
	if err != nil {
		return s // it ends just now
	}
	s.MPTCP = "ok"
	if full.Fallback {
		s.MPTCP = "fallback"
	}
	base := g.flows.baseOf(socket)
	slices.SortFunc(full.Subflows, func(a, b mptcp.Subflow) int { return cmp.Compare(a.ID, b.ID) })
	for _, f := range full.Subflows {
		if f.Local.Addr().IsUnspecified() {
			continue // closed: the kernel has forgotten its addresses
		}
		s.Subflows = append(s.Subflows, subflowOf(f, base[subflowKey{f.Local, f.Remote}], links[f.Local.Addr()]))
	}
	return s
}

func subflowOf(f mptcp.Subflow, base volume, l link.Link) Subflow {
	return Subflow{
		Link: l.Name, Local: f.Local.String(), Remote: f.Remote.String(), State: strings.ToLower(f.State.String()),
		Backup: l.Name != "" && l.Role == link.Standby, RTTms: ms(f.RTT),
		BytesUp: f.BytesAcked - min(base.up, f.BytesAcked), BytesDown: f.BytesReceived - min(base.down, f.BytesReceived),
		Retransmits: f.Retransmits, Timeouts: f.Timeouts,
	}
}

// bits turns bytes per second into whole bits per second.
func bits(bytes float64) float64 { return float64(int64(8*bytes + 0.5)) }
