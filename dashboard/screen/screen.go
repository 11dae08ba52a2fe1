// Package screen draws what a gateway says of itself for people: the tables of
// "tributary status", and the frames of "tributary top".
//
// Everything here is a function from what was said, the time and a width to lines
// of text, so that tests compare whole pictures. Who shows them is not its business:
// it knows no terminal, no clock and no gateway.
//
// Texts of clients and of the network, such as the names they ask for, are shown
// without what could steer a terminal.
package screen

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// A Style is how a piece of text looks.
type Style uint8

// The styles, by what they say.
const (
	Plain Style = iota
	Bold        // a heading
	Dim         // of less interest
	Good
	Warning
	Bad
)

// codes are SGR parameters of ECMA-48 section 8.3.117.
var codes = [...]string{Plain: "", Bold: "1", Dim: "2", Good: "32", Warning: "33", Bad: "1;31"}

// A Span is a piece of a line.
type Span struct {
	Text  string
	Style Style
}

// A Line is one row of a picture. No Span has a line break in it.
type Line []Span

func line(style Style, text string) Line { return Line{{text, style}} }

// width is how many columns the line takes, a character being one wide.
func (l Line) width() (n int) {
	for _, s := range l {
		n += utf8.RuneCountInString(s.Text)
	}
	return n
}

// clip cuts the line at a width. The last column says that something is missing.
func (l Line) clip(width int) Line {
	if l.width() <= width {
		return l
	}
	var out Line
	for _, s := range l {
		if n := utf8.RuneCountInString(s.Text); n < width {
			out, width = append(out, s), width-n
			continue
		}
		return append(out, Span{shorten(s.Text, width, len(out) == len(l)-1), s.Style})
	}
	return out
}

// shorten cuts a text at a width, and marks that, unless nothing is missing.
func shorten(text string, width int, last bool) string {
	switch n := utf8.RuneCountInString(text); {
	case n < width, n == width && last:
		return text
	case width <= 0:
		return ""
	}
	return string([]rune(text)[:width-1]) + "…"
}

// clean makes foreign text fit to be shown: in one line, without anything that
// steers a terminal or turns the direction of writing.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n', r == '\t':
			return ' '
		case r == utf8.RuneError, !unicode.IsPrint(r):
			return '?'
		}
		return r
	}, text)
}

// wrap breaks a text into lines of a width, between words; all but the first are
// indented by indent.
func wrap(text string, width, indent int) (lines []string) {
	at := ""
	for _, word := range strings.Fields(text) {
		switch {
		case at == "":
			at = word
		case utf8.RuneCountInString(at)+1+utf8.RuneCountInString(word) <= width:
			at += " " + word
		default:
			lines = append(lines, at)
			at = strings.Repeat(" ", indent) + word
		}
	}
	return append(lines, at)
}

// A Look is what the output can show.
type Look struct {
	Color bool
	ASCII bool // nothing beyond ASCII
}

// Text returns a line as it goes to the output, without a line break.
func (k Look) Text(l Line) string {
	var b strings.Builder
	for _, s := range l {
		text := s.Text
		if k.ASCII {
			text = plain.Replace(text)
		}
		if code := codes[s.Style]; k.Color && code != "" && strings.TrimSpace(text) != "" {
			text = "\x1b[" + code + "m" + text + "\x1b[0m"
		}
		b.WriteString(text)
	}
	return strings.TrimRight(b.String(), " ")
}

// plain are ours in ASCII; what is somebody else's becomes a question mark.
var plain = ascii{strings.NewReplacer(
	"…", "~", "▁", ".", "▂", ":", "▃", "-", "▄", "=", "▅", "+", "▆", "*", "▇", "#", "█", "@", "↑", "^", "↓", "v",
)}

type ascii struct{ *strings.Replacer }

func (a ascii) Replace(text string) string {
	return strings.Map(func(r rune) rune {
		if r >= utf8.RuneSelf {
			return '?'
		}
		return r
	}, a.Replacer.Replace(text))
}
