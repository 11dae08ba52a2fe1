package screen

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// A column is one of a table. Its cells are as many as the table has rows.
type column struct {
	head, unit string
	right      bool // its cells stand at the right
	drop       int  // columns with higher numbers go first where there is no room; 0 stays
	soft       int  // how narrow it becomes before others are dropped, its cells cut; 0 is not at all
	least      int  // how narrow it becomes at last; 0 is not at all
	cells      []Span
}

func (c *column) add(style Style, text string) { c.cells = append(c.cells, Span{text, style}) }

func (c *column) width() int {
	n := max(utf8.RuneCountInString(c.head), utf8.RuneCountInString(c.unit))
	for _, s := range c.cells {
		n = max(n, utf8.RuneCountInString(s.Text))
	}
	return n
}

// table lays columns out in a width: with two spaces between them, or one, with the
// cells of some cut short, without columns that can be done without, and at last with
// more cells cut short. The first lines are the heads, and the units if there are any.
func table(columns []*column, width int) []Line {
	gap := 2
	widths, sum := measure(columns)
	room := func() int { return width - sum - gap*(len(columns)-1) }
	narrow := func(to func(*column) int) {
		for i, c := range columns {
			if r := room(); r < 0 && to(c) > 0 {
				cut := min(-r, max(0, widths[i]-to(c)))
				widths[i] -= cut
				sum -= cut
			}
		}
	}
	soft := func(c *column) int { return c.soft }
	for narrow(soft); room() < 0; narrow(soft) {
		worst := 0
		for i, c := range columns {
			if c.drop >= columns[worst].drop {
				worst = i
			}
		}
		if columns[worst].drop == 0 || gap == 2 && columns[worst].drop < keepGap {
			if gap == 1 {
				break
			}
			gap = 1
			continue
		}
		columns = slices.Delete(slices.Clone(columns), worst, worst+1)
		widths, sum = measure(columns) // what was cut may have room now
	}
	narrow(func(c *column) int { return c.least })
	rows := heads(columns, widths, gap)
	for n := range columns[0].cells {
		row := make([]Span, len(columns))
		for i, c := range columns {
			row[i] = c.cells[n]
		}
		rows = append(rows, lay(columns, widths, gap, row))
	}
	return rows
}

// keepGap is the drop number from which on a column goes before the gaps do.
const keepGap = 10

func measure(columns []*column) (widths []int, sum int) {
	for _, c := range columns {
		widths = append(widths, c.width())
		sum += c.width()
	}
	return widths, sum
}

func heads(columns []*column, widths []int, gap int) (rows []Line) {
	for _, text := range []func(*column) string{
		func(c *column) string { return c.head }, func(c *column) string { return c.unit },
	} {
		any := false
		row := make([]Span, len(columns))
		for i, c := range columns {
			row[i] = Span{text(c), Dim}
			any = any || text(c) != ""
		}
		if any {
			rows = append(rows, lay(columns, widths, gap, row))
		}
	}
	return rows
}

func lay(columns []*column, widths []int, gap int, cells []Span) (row Line) {
	for i, c := range columns {
		text := shorten(cells[i].Text, widths[i], true)
		pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(text))
		space := strings.Repeat(" ", gap)
		if i == len(columns)-1 {
			space = ""
		}
		if c.right {
			row = append(row, Span{pad, Plain}, Span{text, cells[i].Style}, Span{space, Plain})
		} else {
			row = append(row, Span{text, cells[i].Style}, Span{pad + space, Plain})
		}
	}
	return row
}
