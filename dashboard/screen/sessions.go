package screen

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"tributary/gateway"
)

// Sessions draws the sessions that a status lists, each with its subflows below.
func Sessions(s *gateway.SessionStatus, now time.Time, width int) (all []Line) {
	head, rows := sessionRows(s.List, width)
	all = append(all, head...)
	for i, row := range rows {
		all = append(all, row)
		for j := range s.List[i].Subflows {
			all = append(all, subflowRow(&s.List[i], j, nil).clip(width))
		}
	}
	switch {
	case len(s.List) == 0 && s.LeftOut > 0:
		all = append(all, line(Dim, counted(s.LeftOut, "session")+", of which this gateway does not tell"))
	case len(s.List) == 0:
		all = append(all, line(Dim, "none"))
	case s.LeftOut > 0:
		all = append(all, line(Dim, fmt.Sprintf("and %d more", s.LeftOut)))
	}
	return all
}

// sessionRows are the heads of the table of sessions, and a row for each.
func sessionRows(list []gateway.Session, width int) (heads, rows []Line) {
	client, to := &column{head: "CLIENT", soft: 15, least: 9}, &column{head: "SESSION TO", soft: 24, least: 12}
	age := &column{head: "AGE", right: true, drop: 2}
	down, up := &column{head: "DOWN", unit: "Mbit/s", right: true}, &column{head: "UP", unit: "Mbit/s", right: true}
	allDown := &column{head: "ALL DOWN", right: true, drop: 1}
	allUp := &column{head: "ALL UP", right: true, drop: keepGap}
	for i := range list {
		s := &list[i]
		client.add(Dim, clean(host(s.Client)))
		style := Plain
		if s.State == "opening" {
			style = Dim
		}
		to.add(style, clean(s.To))
		age.add(Plain, span(time.Duration(s.AgeS*float64(time.Second))))
		down.add(Plain, mbit(s.RateDown))
		up.add(Plain, mbit(s.RateUp))
		allDown.add(Plain, bytesText(uint64(max(0, s.BytesDown))))
		allUp.add(Plain, bytesText(uint64(max(0, s.BytesUp))))
	}
	lines := table([]*column{to, client, age, down, up, allDown, allUp}, width)
	n := len(lines) - len(list)
	return lines[:n], lines[n:]
}

// host is an address without its port.
func host(addr string) string {
	if a, err := netip.ParseAddrPort(addr); err == nil {
		return a.Addr().Unmap().String()
	}
	return addr
}

// A pace is how fast a subflow is, in bit/s.
type pace struct{ up, down float64 }

// subflowRow is the line of one of a session's subflows. How fast it is may be known.
func subflowRow(s *gateway.Session, n int, now *pace) Line {
	f := &s.Subflows[n]
	name := clean(firstOf(f.Link, "?"))
	if a, err := netip.ParseAddrPort(f.Remote); err == nil {
		name += fmt.Sprintf(" to :%d", a.Port())
	}
	state, style := clean(f.State), Dim
	switch {
	case f.Timeouts > 0:
		state, style = "not answered", Bad
	case f.State == "established" && f.Backup:
		state = "backup"
	case f.State == "established":
		state = "in use"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%7s", number(f.RTTms, f.RTTms > 0)+" ms")
	if now != nil {
		fmt.Fprintf(&b, "  %5s down %5s up Mbit/s", mbit(now.down), mbit(now.up))
	} else {
		fmt.Fprintf(&b, "  %7s down %7s up", bytesText(f.BytesDown), bytesText(f.BytesUp))
	}
	if f.Retransmits > 0 {
		fmt.Fprintf(&b, "  %d resent", f.Retransmits)
	}
	return Line{{fmt.Sprintf("    %-14s ", name), Dim}, {fmt.Sprintf("%-12s", state), style}, {b.String(), Dim}}
}
