package screen

import (
	"fmt"
	"strings"
	"time"

	"tributary/gateway"
)

// decisionsShown is how many decisions stand below a status.
const decisionsShown = 5

// Status draws a status in lines of at most width columns, but for what cannot be
// broken. Now is the time here, for a gateway that does not tell its own; zone is that
// of the person who looks.
func Status(s *gateway.Status, now time.Time, zone *time.Location, width int) (all []Line) {
	now = clock(s, now)
	all = append(all, facts(s, now, width)...)
	all = append(all, nil)
	if len(s.Links) == 0 {
		return append(all, line(Plain, "no links: no interface has a default route; name one with --link DEV"))
	}
	all = append(all, table(linkColumns(s, now), width)...)
	all = append(all, linkNotes(s, now, width)...)
	if s.Sessions.List != nil {
		all = append(all, nil)
		all = append(all, Sessions(&s.Sessions, now, width)...)
	}
	return append(all, decisions(s, zone, width)...)
}

// facts are the lines above the links.
func facts(s *gateway.Status, now time.Time, width int) (all []Line) {
	say := func(name string, style Style, text string) {
		const indent = 11
		for i, part := range wrap(clean(text), width-indent, 0) {
			if i > 0 {
				name = ""
			}
			all = append(all, Line{{fmt.Sprintf("%-*s", indent, name), Dim}, {part, style}})
		}
	}
	r := &s.Relay
	text, style := r.State, Good
	if r.State != "up" {
		style = Bad
	}
	if r.Since != "" {
		text += " for " + since(r.Since, now)
	}
	if r.RTTms > 0 && r.State == "up" {
		text += fmt.Sprintf(", %.1f ms", r.RTTms)
	}
	if r.Error != "" {
		text += ": " + strings.ReplaceAll(r.Error, "\n", "; ")
	}
	say("relay", style, r.Address+"  "+text)
	if !s.Multipath.OK {
		say("multipath", Warning, "no, a single path is used: "+s.Multipath.Why)
		if s.Multipath.Hint != "" {
			say("", Plain, "hint: "+s.Multipath.Hint)
		}
	}
	if s.LinkCare != "on" {
		say("link care", Warning, s.LinkCare)
	}
	say("sessions", Plain, fmt.Sprintf("%d open, %d since the start", s.Sessions.Open, s.Sessions.Total))
	p := &s.Pool
	text = fmt.Sprintf("%d warm; %d hits, %d of them recycled, and %d misses", p.Warm, p.Hits, p.Recycled, p.Misses)
	if p.Raced > 0 {
		text += fmt.Sprintf("; %d raced, %d won by the second link", p.Raced, p.Won)
	}
	say("pool", Plain, text)
	return all
}

// linkColumns is the table of the links. What does not fit in the width goes in the
// order of its importance.
func linkColumns(s *gateway.Status, now time.Time) []*column {
	name, mode, state := &column{head: "LINK", least: 6}, &column{head: "MODE", drop: 2}, &column{head: "STATE"}
	age, part := &column{head: "FOR", drop: 3}, &column{head: "ROLE"}
	rtt, loss := &column{head: "RTT", unit: "ms", right: true}, &column{head: "LOSS", unit: "%", right: true}
	down, up := &column{head: "DOWN", unit: "Mbit/s", right: true}, &column{head: "UP", unit: "Mbit/s", right: true}
	share, multi := &column{head: "SHARE", unit: "%", right: true, drop: 4}, &column{head: "MPTCP", drop: 1}
	allDown := &column{head: "ALL DOWN", right: true, drop: keepGap + 1}
	allUp := &column{head: "ALL UP", right: true, drop: keepGap + 1}
	month := &column{head: "MONTH", unit: "%", right: true, drop: 5}
	resent := &column{head: "RESENT", unit: "%", right: true, drop: keepGap + 2}
	for i := range s.Links {
		l := &s.Links[i]
		word, style, at := standing(l)
		name.add(Bold, clean(l.Name))
		mode.add(Plain, clean(l.Mode))
		state.add(style, word)
		age.add(Plain, since(at, now))
		part.add(roleStyle(l), role(l))
		rtt.add(Plain, roundTrip(l))
		loss.add(lossStyle(l.ProbeLoss), number(l.ProbeLoss, known(l)))
		down.add(Plain, mbit(l.RateDown))
		up.add(Plain, mbit(l.RateUp))
		share.add(Plain, number(100*l.Share, l.Share > 0))
		text, style := multipath(l)
		multi.add(style, text)
		allDown.add(Plain, bytesText(l.BytesDown))
		allUp.add(Plain, bytesText(l.BytesUp))
		resent.add(lossStyle(100*l.Loss), number(100*l.Loss, l.BytesUp > 0))
	}
	columns := []*column{name, mode, state, age, part, rtt, loss, down, up, share, multi, allDown, allUp, resent}
	if months(s, month) {
		columns = append(columns[:10:10], append([]*column{month}, columns[10:]...)...)
	}
	return columns
}

// months fills a column with how much of its allowance each link has used, and
// reports whether any has one.
func months(s *gateway.Status, c *column) (any bool) {
	for i := range s.Links {
		u := s.Links[i].Usage
		if u == nil || u.Allowance == 0 {
			c.add(Plain, "-")
			continue
		}
		any = true
		percent := 100 * float64(u.Bytes) / float64(u.Allowance)
		style := Plain
		if u.Thrift != "none" && u.Thrift != "" {
			style = Warning
		}
		c.add(style, number(percent, true))
	}
	return any
}

func roleStyle(l *gateway.LinkStatus) Style {
	if role(l) == "full" {
		return Plain
	}
	return Dim
}

func lossStyle(percent float64) Style {
	if percent >= 5 {
		return Warning
	}
	return Plain
}

// known reports whether probes say anything of a link's loss.
func known(l *gateway.LinkStatus) bool {
	return l.State == "up" && (l.Health == "alive" || l.Health == "doubtful")
}

// linkNotes are the sentences below the table.
func linkNotes(s *gateway.Status, now time.Time, width int) (all []Line) {
	widest := 0
	for i := range s.Links {
		widest = max(widest, len(clean(s.Links[i].Name)))
	}
	for i := range s.Links {
		l := &s.Links[i]
		for _, text := range reasons(l, now) {
			all = append(all, entry(fmt.Sprintf("%-*s  ", widest, clean(l.Name)), text, width)...)
		}
	}
	if all != nil {
		all = append([]Line{nil}, all...)
	}
	return all
}

// entry is a text behind a name, with later lines below its beginning.
func entry(name, text string, width int) (all []Line) {
	for i, part := range wrap(text, max(20, width-len(name)), 0) {
		if i > 0 {
			name = strings.Repeat(" ", len(name))
		}
		all = append(all, Line{{name, Bold}, {part, Plain}})
	}
	return all
}

// decisions are the last ones, the newest last.
func decisions(s *gateway.Status, zone *time.Location, width int) (all []Line) {
	last := news(s.Decisions, decisionsShown)
	if len(last) == 0 {
		return nil
	}
	all = append(all, nil, line(Dim, "LAST DECISIONS"))
	for i := range last {
		d := &last[i]
		all = append(all, entry(timeOf(d.At, zone)+"  "+clean(d.Link)+"  ", decided(d), width)...)
	}
	return all
}

// timeOf writes a moment as the time of the day where the person is.
func timeOf(stamp string, zone *time.Location) string {
	t, err := time.Parse(time.RFC3339Nano, stamp)
	if err != nil {
		return "        "
	}
	return t.In(zone).Format("15:04:05")
}
