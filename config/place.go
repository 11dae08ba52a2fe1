package config

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// A place is where something stands in the file.
type place struct {
	line   int
	path   []string // section and key: "gateway", "link", "mode"
	entry  int      // of a section that may be there several times, from 1; else 0
	name   string   // of that entry, once it is known to be good
	header bool     // a line of [section] or [[section]]
}

// String returns "[section] key", with the entry in between.
func (p place) String() string {
	section, key := p.path, ""
	if !p.header && len(p.path) > 0 {
		section, key = p.path[:len(p.path)-1], p.path[len(p.path)-1]
	}
	var b strings.Builder
	switch {
	case len(section) == 0:
	case p.entry > 0:
		fmt.Fprintf(&b, "[[%s]] entry %d", shown(section), p.entry)
		if p.name != "" {
			fmt.Fprintf(&b, " (%s)", p.name)
		}
	default:
		fmt.Fprintf(&b, "[%s]", shown(section))
	}
	if key != "" && b.Len() > 0 {
		b.WriteByte(' ')
	}
	if key != "" {
		b.WriteString(shown([]string{key}))
	}
	return b.String()
}

// shown returns keys as they may be printed. A long one is none of ours, and may be
// a secret without its quotes.
func shown(path []string) string {
	out := slices.Clone(path)
	for i, k := range out {
		bare := k != "" && !strings.ContainsFunc(k, func(r rune) bool {
			return (r|0x20 < 'a' || r|0x20 > 'z') && (r < '0' || r > '9') && r != '_' && r != '-'
		})
		if !bare || len(k) > 20 {
			out[i] = "…"
		}
	}
	return strings.Join(out, ".")
}

// places are all keys and section headers of a file, in its order.
type places struct {
	list   []place
	broken bool // the text is no valid TOML; the list ends there
}

// find walks through text.
func find(text []byte) (all places) {
	var section place
	entries := map[string]int{}
	parser := unstable.Parser{}
	parser.Reset(text)
	for parser.NextExpression() {
		node := parser.Expression()
		var path []string
		start := 0
		for it := node.Key(); it.Next(); {
			if len(path) == 0 {
				start = int(it.Node().Raw.Offset)
			}
			path = append(path, string(it.Node().Data))
		}
		p := place{line: 1 + bytes.Count(text[:start], []byte("\n")), path: path}
		switch node.Kind {
		case unstable.KeyValue:
			p.path = slices.Concat(section.path, path)
			p.entry = section.entry
		case unstable.ArrayTable:
			name := strings.Join(path, "\x00")
			entries[name]++
			p.entry, p.header = entries[name], true
			section = p
		default:
			p.header = true
			section = p
		}
		all.list = append(all.list, p)
	}
	all.broken = parser.Error() != nil
	return all
}

// on returns the last place that begins on the line or before it: a value may
// have several lines.
func (all places) on(line int) (p place) {
	for _, q := range all.list {
		if q.line <= line {
			p = q
		}
	}
	if all.broken && p.line != line { // it is not about that place
		p = place{}
	}
	p.line = line
	return p
}

// nearest returns where a key stands, or else the innermost thing around it
// that has a line of its own: inline tables have none inside.
func (all places) nearest(path ...string) place { return all.entry(0, path...) }

func (all places) entry(n int, path ...string) place {
	for length := len(path); length > 0; length-- {
		for _, p := range all.list {
			if slices.Equal(p.path, path[:length]) && (p.entry == n || p.entry == 0) {
				return place{line: p.line, path: path, entry: n}
			}
		}
	}
	return place{path: path, entry: n}
}

// A problem is one thing wrong in a file.
type problem struct {
	file string
	at   place
	err  error
}

func (p *problem) Error() string {
	var b strings.Builder
	b.WriteString(p.file)
	if p.at.line > 0 {
		fmt.Fprintf(&b, ":%d", p.at.line)
	}
	if where := p.at.String(); where != "" {
		b.WriteString(": " + where)
	}
	return b.String() + ": " + p.err.Error()
}

func (p *problem) Unwrap() error { return p.err }
