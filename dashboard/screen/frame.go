package screen

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// The least size in which everything has its place, and how many rows the sessions
// have even then: two of them below their heads.
const (
	leastWidth    = 40
	leastHeight   = 8
	leastSessions = 4
)

// Frame draws a whole terminal of a size: exactly height lines, each of at most
// width columns. It changes nothing but how far down the sessions are, which cannot
// be further than there are any.
func (t *Top) Frame(width, height int, now time.Time) []Line {
	if width < leastWidth || height < leastHeight {
		return fill([]Line{line(Plain, fmt.Sprintf("too small: %d x %d at least", leastWidth, leastHeight))}, width, height)
	}
	if t.help {
		return fill(append(helpLines(), nil, line(Dim, "any key goes back")), width, height)
	}
	head := append([]Line{t.title(now)}, t.trouble(now)...)
	foot := []Line{t.keys()}
	if t.status == nil {
		return fill(append(head, nil, line(Dim, "waiting for the first answer")), width, height)
	}
	room := height - len(head) - len(foot)
	links := t.linkLines(width, max(2, room-leastSessions))
	room -= len(links)
	told := t.decisionLines(width, max(0, room-leastSessions))
	all := append(head, links...)
	all = append(all, t.sessionLines(width, room-len(told))...)
	for len(all) < height-len(told)-len(foot) {
		all = append(all, nil)
	}
	all = append(all, told...)
	return fill(append(all, foot...), width, height)
}

// fill makes lines a frame.
func fill(all []Line, width, height int) []Line {
	for len(all) < height {
		all = append(all, nil)
	}
	all = all[:height]
	for i := range all {
		all[i] = all[i].clip(width)
	}
	return all
}

// title is the first line: the relay, and how much there is.
func (t *Top) title(now time.Time) Line {
	at := t.Zone
	if at == nil {
		at = time.UTC
	}
	l := Line{{now.In(at).Format("15:04:05"), Bold}, {"  tributary", Bold}}
	s := t.status
	if s == nil {
		return append(l, Span{" at " + t.Address, Plain})
	}
	style, text := Good, "relay "+clean(s.Relay.State)
	if s.Relay.State != "up" {
		style = Bad
	} else if s.Relay.RTTms > 0 {
		text += fmt.Sprintf(" %s ms", number(s.Relay.RTTms, true))
	}
	l = append(l, Span{"  ", Plain}, Span{text, style})
	l = append(l, Span{fmt.Sprintf("  %s  %d warm", counted(s.Sessions.Open, "session"), s.Pool.Warm), Plain})
	return append(l, Span{"  " + clean(s.Relay.Address), Dim})
}

// trouble are lines about what keeps the gateway from its work, or us from seeing it.
func (t *Top) trouble(now time.Time) (all []Line) {
	const newsTime = 5 * time.Second
	switch {
	case t.failed != "":
		text := fmt.Sprintf("no answer from %s for %s, asking again: %s", t.Address, span(now.Sub(t.since)), clean(t.failed))
		all = append(all, line(Bad, text))
	case !t.back.IsZero() && now.Sub(t.back) < newsTime:
		all = append(all, line(Good, fmt.Sprintf("%s answers again, after %s", t.Address, span(t.outage))))
	}
	if t.status == nil {
		return all
	}
	s := t.status
	if s.Relay.Error != "" {
		all = append(all, line(Bad, clean(s.Relay.Error)))
	}
	if !s.Multipath.OK {
		all = append(all, line(Warning, "a single path is used: "+clean(s.Multipath.Why)))
	}
	if s.LinkCare != "on" {
		all = append(all, line(Warning, "link care: "+clean(s.LinkCare)))
	}
	return all
}

// sessionLines are the table of the sessions in a height, from where the person is.
func (t *Top) sessionLines(width, height int) []Line {
	s := &t.status.Sessions
	title := fmt.Sprintf("SESSIONS by %s, rates in Mbit/s", t.sort)
	switch hidden := s.Open - len(s.List); {
	case len(s.List) == 0 && s.Open > 0:
		title += fmt.Sprintf(": %d, of which this gateway does not tell", s.Open)
	case hidden > 0:
		title += fmt.Sprintf(", %d more not shown", hidden)
	}
	head, rows := sessionRows(s.List, width)
	all := []Line{rule(title, width)}
	if len(rows) == 0 {
		return all
	}
	all = append(all, head[0]) // the unit is in the title
	var body []Line
	for i, row := range rows {
		body = append(body, row)
		for j := range s.List[i].Subflows {
			if !t.expand {
				break
			}
			f := &s.List[i].Subflows[j]
			p := t.paces[subflowKey{s.List[i].ID, f.Local, f.Remote}]
			body = append(body, subflowRow(&s.List[i], j, &p))
		}
	}
	room := max(1, height-len(all))
	t.scroll = max(0, min(t.scroll, len(body)-room))
	return append(all, body[t.scroll:min(len(body), t.scroll+room)]...)
}

// decisionLines are the last decisions, as many as a low window can spare.
func (t *Top) decisionLines(width, room int) (all []Line) {
	last := news(t.status.Decisions, min(decisionsShown, room/2))
	if len(last) > 2 {
		all = append(all, rule("LAST DECISIONS", width))
	}
	zone := t.Zone
	if zone == nil {
		zone = time.UTC
	}
	for i := range last {
		d := &last[i]
		all = append(all, Line{
			{timeOf(d.At, zone) + "  ", Dim}, {clean(d.Link), Bold}, {"  " + decided(d), Plain},
		})
	}
	return all
}

// rule is a heading over the whole width.
func rule(title string, width int) Line {
	return line(Dim, title+" "+strings.Repeat("-", max(0, width-1-utf8.RuneCountInString(title))))
}

// keys is the last line.
func (t *Top) keys() Line {
	what := "show subflows"
	if t.expand {
		what = "hide subflows"
	}
	return line(Dim, "q quit  s sort  e "+what+"  arrows scroll  ? help")
}

func helpLines() (all []Line) {
	for _, text := range []string{
		"q  Ctrl-C      quit",
		"s              sort sessions by rate, bytes or age",
		"e  l           show or hide the subflows of each session",
		"arrows  j k    scroll the sessions",
		"PgUp PgDn      scroll by ten; Home, End: to the first, the last",
		"Ctrl-Z         suspend",
		"",
		"The bars are the rates of the last minute, the newest at the right;",
		"all links of a direction have one scale.",
		"state  how the link is: alive, doubtful, dead, or what it lacks",
		"role   full: carries traffic; backup: while no full one works; out: none",
	} {
		all = append(all, line(Plain, text))
	}
	return all
}
