package soak

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// A Dump counts goroutines by what made them, from the text that a Go program
// writes when it gets SIGQUIT.
type Dump map[string]int

var (
	goroutineLine = regexp.MustCompile(`^goroutine \d+ `)
	createdLine   = regexp.MustCompile(`^created by (\S+)`)
)

// ReadDump reads such text, whatever else is in it.
func ReadDump(text string) Dump {
	d := Dump{}
	open := false
	end := func() {
		if open {
			d["main"]++ // nobody made it
		}
		open = false
	}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if goroutineLine.MatchString(line) {
			end()
			open = true
		}
		if m := createdLine.FindStringSubmatch(line); m != nil && open {
			d[m[1]]++
			open = false
		}
	}
	end()
	return d
}

// Total is how many there are.
func (d Dump) Total() (n int) {
	for _, k := range d {
		n += k
	}
	return n
}

// More lists what there is more of than before, the most first.
func (d Dump) More(before Dump) string {
	more := Dump{}
	for name, n := range d {
		if n > before[name] {
			more[name] = n - before[name]
		}
	}
	var all []string
	for _, name := range slices.SortedFunc(maps.Keys(more), func(a, b string) int {
		return cmp.Or(cmp.Compare(more[b], more[a]), cmp.Compare(a, b))
	}) {
		all = append(all, fmt.Sprintf("%d of %s", more[name], name))
	}
	return strings.Join(all, ", ")
}
