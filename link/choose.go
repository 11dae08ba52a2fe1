package link

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// chooseEndpoints gives the kernel's few endpoints to the links that are up:
// first one to each link, of the family in which connections begin if it has that,
// then the second family; On links before the others.
// Every link gets one, also that of the main default route, for only then can a
// connection's first subflow be closed and come back. It reports whether a link has to
// join by another family than that in which connections begin.
func (p *plan) chooseEndpoints(o *observed, links []*candidate, six bool, barred map[netip.Addr]string) (apart bool) {
	free := maxEndpoints
	foreign := map[string]bool{}
	for _, e := range o.endpoints {
		if !e.ours && !e.implicit && !slices.Contains(p.taken, e) {
			free--
			foreign[e.addr.String()] = true
		}
	}
	order := slices.Clone(links)
	slices.SortStableFunc(order, func(a, b *candidate) int { return a.rank() - b.rank() })
	for turn := range 2 {
		for _, c := range order {
			if c.State != Up || c.Role == Out || len(c.sources) <= turn {
				continue
			}
			crosses := c.apart(six, barred)
			apart = apart || crosses
			from := c.turn(turn, six)
			e := endpoint{addr: from, index: c.Index, dev: c.Name, backup: c.Role == Standby, fullmesh: crosses && from.Is6() != six}
			why, bar := barred[e.addr]
			switch {
			case bar:
				c.note(why)
			case foreign[e.addr.String()]:
				c.note(fmt.Sprintf("%s already is an endpoint that others made; it is left as it is", e.addr))
			case free == 0:
				c.note(fmt.Sprintf("no endpoint for %s, the kernel has only %d", e.addr, maxEndpoints))
			default:
				free--
				p.endpoints = append(p.endpoints, e)
				c.Joins = append(c.Joins, e.addr)
			}
		}
	}
	return apart
}

// turn returns the address of a link with that many that comes at a turn: the one of
// the family in which connections begin, if there is a choice, comes first.
func (c *candidate) turn(n int, six bool) netip.Addr {
	if len(c.sources) > 1 && c.sources[0].addr.Is6() != six {
		n = 1 - n
	}
	return c.sources[n].addr
}

func (c *candidate) rank() int {
	if c.Mode == On {
		return 0
	}
	return 1
}

// wantedLimits allows one more subflow per link; and as many addresses that the relay
// announces, where links lack the family in which connections begin. Elsewhere each
// announced address would bring a second subflow on the link of the default route.
// Limits are never lowered: other programs' connections share them.
func wantedLimits(base limits, links int, apart bool) limits {
	want := limits{Subflows: min(links, maxEndpoints)}
	if apart {
		want.AddAddrAccepted = want.Subflows
	}
	return base.raisedTo(want)
}

// The settings of the kernel, chosen by us.
const (
	// pathBlackhole: with the default of 3600 s, one outage of 2.6 s while connecting
	// switched MPTCP off for the whole host (measured on Linux 6.18).
	pathBlackhole = "net/mptcp/blackhole_timeout"
	// pathSynRetrans: by default the third SYN has no MPTCP option any more. 32 is
	// more than the kernel ever sends, so a slow link stays with MPTCP.
	pathSynRetrans  = "net/mptcp/syn_retrans_before_tcp_fallback"
	leastSynRetrans = 32
	// pathClose is how long, in seconds, a connection lives without any subflow: a
	// router that lost all links may need minutes to get one back.
	pathClose  = "net/mptcp/close_timeout"
	leastClose = 300
	// pathRmem, pathWmem: buffers must hold the rate of all links times the longest
	// round trip. With 1 MB, two links of 20 and 300 ms were slower than one.
	pathRmem   = "net/ipv4/tcp_rmem"
	pathWmem   = "net/ipv4/tcp_wmem"
	leastBytes = 16 << 20
	// leastFirst is what a receive buffer begins with. The kernel lets it grow once
	// per round trip as it sees it, and takes the time that a warm connection was idle
	// for a round trip: the first data echoes a timestamp of before. For that long the
	// buffer stays as it began. With the default of 128 KiB, uploads over idle
	// connections ran at 9 of 19 Mbit/s for up to half a minute (Linux 6.18); 1 MiB is
	// enough for 80 Mbit/s at 60 ms.
	leastFirst = 1 << 20
	// pathUnsent is how much a program may write beyond what is on its way. When a link
	// dies, what was on it is sent again behind all that the others hold already: with
	// the default, which is no limit, that took half as long again. With 64 KiB the
	// other links' queues ran over now and then (measured, 1 MB answers).
	pathUnsent = "net/ipv4/tcp_notsent_lowat"
	mostUnsent = 128 << 10
	// pathAnnounce is after how many seconds an address is announced again that was not
	// acknowledged, three times at most: TCP does not repeat a packet without data.
	pathAnnounce = "net/mptcp/add_addr_timeout"
	mostAnnounce = 1
)

// sysctlPaths are those read at every observation, besides rp_filter.
var sysctlPaths = [...]string{pathBlackhole, pathSynRetrans, pathClose, pathRmem, pathWmem, pathUnsent, pathAnnounce, pathFilter("all")}

// pathFilter is the reverse path filter of a device or of "all"; the larger of
// both counts (ip-sysctl.rst).
func pathFilter(dev string) string { return "net/ipv4/conf/" + dev + "/rp_filter" }

// wantedSysctls returns the settings to change. Values are raised, never lowered, save
// the blackhole time-out, where 0 is the strongest, and those that are limits. What the
// kernel does not have is left out.
//
// tcp_slow_start_after_idle stays as it is: it would change every TCP connection of
// the host, and a gateway sends little. A relay opens no MPTCP connections, so
// those that are about opening them stay too.
func wantedSysctls(have map[string]string, links []*candidate, relay, announces bool) (set []sysctl) {
	if v, ok := have[pathBlackhole]; ok && v != "0" && !relay {
		set = append(set, sysctl{pathBlackhole, "0"})
	}
	// The wanted values are those of the last fields.
	least := func(path string, want ...int) {
		f := strings.Fields(have[path])
		if len(f) < len(want) {
			return
		}
		raised := false
		for i, w := range want {
			field := &f[len(f)-len(want)+i]
			if n, err := strconv.Atoi(*field); err == nil && n < w {
				*field, raised = strconv.Itoa(w), true
			}
		}
		if raised {
			set = append(set, sysctl{path, strings.Join(f, "\t")})
		}
	}
	if !relay {
		least(pathSynRetrans, leastSynRetrans)
	}
	least(pathClose, leastClose)
	least(pathRmem, leastFirst, leastBytes)
	least(pathWmem, leastBytes)
	most := func(path string, want uint64) {
		if n, err := strconv.ParseUint(have[path], 10, 64); err == nil && n > want {
			set = append(set, sysctl{path, strconv.FormatUint(want, 10)})
		}
	}
	most(pathUnsent, mostUnsent)
	if announces {
		most(pathAnnounce, mostAnnounce)
	}
	for _, c := range links {
		// Strict filtering (1) drops answers that a later rule of somebody else sends
		// another way. Loose (2) on the link is enough, whatever "all" says; no
		// filtering (0) stays, for 2 would be stricter.
		if own := have[pathFilter(c.Name)]; c.Table != 0 && max(own, have[pathFilter("all")]) == "1" {
			set = append(set, sysctl{pathFilter(c.Name), "2"})
		}
	}
	return set
}
