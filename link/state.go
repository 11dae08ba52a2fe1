package link

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"tributary/mptcp/pm"
)

// What identifies state of ours in the kernel, chosen by us.
const (
	// Protocol is the number of our routes and rules (rtm_protocol of
	// linux/rtnetlink.h, FRA_PROTOCOL of linux/fib_rules.h). Whatever carries it is
	// ours to remove. Nothing in the kernel's list or iproute2's rt_protos has it.
	Protocol = 74
	// TableBase plus the interface's number is the link's routing table. Numbers
	// of interfaces are stable while the interface lives, positions in a list are not.
	TableBase = 7400
	// RuleLocal is the priority of the rules that let local networks win over
	// the link's default route, RuleLink that of the rules which lead to it. Both
	// come after the rules VPNs put first (Tailscale: 5210), before main (32766).
	RuleLocal = 7400
	RuleLink  = 7401
)

// mainTable is RT_TABLE_MAIN of linux/rtnetlink.h.
const mainTable = 254

// maxEndpoints is the most endpoints a network namespace has, and also the
// largest limit: MPTCP_PM_ADDR_MAX of net/mptcp/pm_kernel.c.
const maxEndpoints = 8

// An item is one piece of kernel state. Its line is the command that a person
// would give for it.
type item interface{ line(verb string) string }

// A rule sends what comes from an address to a routing table.
type rule struct {
	priority int
	from     netip.Addr
	table    int
	specific bool // pass over the default route there (suppress_prefixlength 0)
}

func (r rule) line(verb string) string {
	table := strconv.Itoa(r.table)
	if r.table == mainTable {
		table = "main"
	}
	s := fmt.Sprintf("%s rule %s pref %d from %s lookup %s", program(r.from), verb, r.priority, r.from, table)
	if r.specific {
		s += " suppress_prefixlength 0"
	}
	return s + " protocol " + strconv.Itoa(Protocol)
}

// A route is one entry of a link's table.
type route struct {
	table  int
	dst    netip.Prefix
	via    netip.Addr // not valid: on the link
	index  int
	dev    string
	onlink bool
}

func (r route) isDefault() bool { return r.dst.Bits() == 0 }

func (r route) line(verb string) string {
	s := program(r.dst.Addr()) + " route " + verb + " "
	if r.isDefault() {
		s += "default"
	} else {
		s += r.dst.String()
	}
	if r.via.IsValid() {
		s += " via "
		if r.via.Is6() != r.dst.Addr().Is6() {
			s += "inet6 "
		}
		s += r.via.String()
	}
	s += fmt.Sprintf(" dev %s table %d", r.dev, r.table)
	if r.onlink {
		s += " onlink"
	}
	return s + " proto " + strconv.Itoa(Protocol)
}

func program(a netip.Addr) string {
	if a.Is6() {
		return "ip -6"
	}
	return "ip"
}

// An endpoint is an address from which the kernel may join a subflow.
type endpoint struct {
	id       uint8 // given by the kernel
	addr     netip.Addr
	index    int
	dev      string
	backup   bool
	fullmesh bool // joins at all addresses of the peer that are known, not at the first
	signal   bool // is announced to peers, and nothing else
	ours     bool // the journal says so; the kernel knows no owners
	// theirs are all its flags as observed; on the way back to somebody who had made it,
	// they are what it is to have again.
	theirs   pm.Flags
	implicit bool // made by the kernel itself; adding replaces it
}

func (e endpoint) line(verb string) string {
	s := fmt.Sprintf("ip mptcp endpoint %s %s dev %s", verb, e.addr, e.dev)
	for _, f := range []struct {
		set  bool
		word string
	}{{!e.signal, " subflow"}, {e.signal, " signal"}, {e.backup, " backup"}, {e.fullmesh, " fullmesh"}} {
		if f.set {
			s += f.word
		}
	}
	return s
}

// same reports whether f serves where e is wanted, flags aside.
func (e endpoint) same(f endpoint) bool { return e.addr == f.addr && e.index == f.index }

// limits are the path manager's, per connection.
type limits struct {
	Subflows        int `json:"subflows"`
	AddAddrAccepted int `json:"add_addr_accepted"`
}

func (l limits) line(verb string) string {
	return fmt.Sprintf("ip mptcp limits %s subflows %d add_addr_accepted %d", verb, l.Subflows, l.AddAddrAccepted)
}

func (l limits) raisedTo(m limits) limits {
	return limits{max(l.Subflows, m.Subflows), max(l.AddAddrAccepted, m.AddAddrAccepted)}
}

// A sysctl is a kernel setting, by its path below /proc/sys.
type sysctl struct {
	path  string
	value string
}

// line writes the path as sysctl(8) does, where dots separate and a slash
// stands for a dot in a name.
func (s sysctl) line(string) string {
	key := strings.NewReplacer("/", ".", ".", "/").Replace(s.path)
	if strings.ContainsAny(s.value, " \t") {
		return fmt.Sprintf("sysctl -w %s=%q", key, strings.Join(strings.Fields(s.value), " "))
	}
	return fmt.Sprintf("sysctl -w %s=%s", key, s.value)
}
