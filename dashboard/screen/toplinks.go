package screen

import "fmt"

// wideTop is from what width on a frame has the columns of less interest, too.
const wideTop = 110

// linkLines are the table of the links, with their rates over the last minute, and
// below each what is to be said of it: as much as most lines hold, of each link one
// thing before the next.
func (t *Top) linkLines(width, most int) (all []Line) {
	s := t.status
	if len(s.Links) == 0 {
		return []Line{line(Plain, "no links: no interface has a default route")}
	}
	rows := table(t.linkColumns(width), width)
	if len(rows) > most {
		return append(rows[:most-1:most-1], line(Dim, fmt.Sprintf("… and %d more links", len(rows)-most+1)))
	}
	notes, told := make([][]string, len(s.Links)), make([]int, len(s.Links))
	for i := range s.Links {
		notes[i] = reasons(&s.Links[i], clock(s, t.answered))
	}
	left := most - len(rows)
	for again := true; again && left > 0; {
		again = false
		for i := range notes {
			if left > 0 && told[i] < len(notes[i]) {
				told[i], left, again = told[i]+1, left-1, true
			}
		}
	}
	all = append(all, rows[0])
	for i, row := range rows[1:] {
		all = append(all, row)
		for _, text := range notes[i][:told[i]] {
			all = append(all, line(Dim, "  "+text))
		}
	}
	return all
}

func (t *Top) linkColumns(width int) []*column {
	s := t.status
	name, state := &column{head: "LINK", least: 6}, &column{head: "STATE"}
	age, part, multi := &column{head: "FOR"}, &column{head: "ROLE", drop: 3}, &column{head: "MPTCP"}
	rtt, loss := &column{head: "RTT", right: true}, &column{head: "LOSS", right: true, drop: 2}
	down, up := &column{head: "DOWN", right: true}, &column{head: "UP", right: true}
	for i := range s.Links {
		l := &s.Links[i]
		word, style, at := standing(l)
		name.add(Bold, clean(l.Name))
		state.add(style, word)
		age.add(Plain, since(at, clock(s, t.answered)))
		part.add(roleStyle(l), role(l))
		rtt.add(Plain, withUnit(roundTrip(l), "ms"))
		loss.add(lossStyle(l.ProbeLoss), withUnit(number(l.ProbeLoss, known(l)), "%"))
		down.add(Plain, mbit(l.RateDown))
		up.add(Plain, mbit(l.RateUp))
		text, style := multipath(l)
		multi.add(style, text)
	}
	columns := []*column{name, state, part, rtt, loss, down, up}
	if width >= wideTop {
		columns = []*column{name, state, age, part, rtt, loss, multi, down, up}
	}
	return t.withGraphs(columns, width)
}

func withUnit(number, unit string) string {
	if number == "-" {
		return number
	}
	return number + unit
}

// withGraphs puts the rates of the last minute behind those of now, which are the last
// two columns: a minute in the room that is left. All links of a direction have one scale.
func (t *Top) withGraphs(columns []*column, width int) []*column {
	const fair = 24 // for both, before the gaps become narrow
	_, sum := measure(columns)
	spare := width - sum - 2*(len(columns)+1)
	if spare < fair {
		spare = width - sum - (len(columns) + 1)
	}
	spare = max(8, spare)
	n := len(columns)
	down := t.graph(t.down, min(historyKept, (spare+1)/2))
	up := t.graph(t.up, min(historyKept, spare/2))
	return append(append(columns[:n-1:n-1], down), columns[n-1], up)
}

func (t *Top) graph(of map[string]*history, width int) *column {
	most := 0.0
	for i := range t.status.Links {
		most = max(most, of[t.status.Links[i].Name].most())
	}
	c := &column{head: "Mbit/s"}
	for i := range t.status.Links {
		c.add(Good, of[t.status.Links[i].Name].spark(width, most))
	}
	return c
}
