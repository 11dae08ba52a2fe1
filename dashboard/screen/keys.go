package screen

import "strings"

// A Key is one that somebody pressed: a printable character as it is, or one of those
// below.
type Key rune

// The keys without a character of their own.
const (
	None Key = -iota
	Up
	Down
	PageUp
	PageDown
	Home
	End
	Interrupt // Ctrl-C
	Suspend   // Ctrl-Z
	Redraw    // Ctrl-L
)

// sequences are what terminals send for keys, as xterm does and those before it.
var sequences = map[string]Key{
	"[A": Up, "OA": Up, "[B": Down, "OB": Down, "[5~": PageUp, "[6~": PageDown,
	"[H": Home, "OH": Home, "[1~": Home, "[7~": Home, "[F": End, "OF": End, "[4~": End, "[8~": End,
}

// Keys takes apart what a terminal has sent. Sequences that it does not know are no
// keys; one that is cut off is none either, for a terminal sends it in one piece.
func Keys(sent string) (keys []Key) {
	for len(sent) > 0 {
		c := sent[0]
		if c == 0x1b {
			n := sequence(sent)
			if k, ok := sequences[sent[1:n]]; ok {
				keys = append(keys, k)
			}
			sent = sent[n:]
			continue
		}
		sent = sent[1:]
		switch {
		case c == 3 || c == 4 || c == 0x1c: // Ctrl-C, Ctrl-D, Ctrl-\
			keys = append(keys, Interrupt)
		case c == 12:
			keys = append(keys, Redraw)
		case c == 26:
			keys = append(keys, Suspend)
		case c > ' ' && c < 0x7f:
			keys = append(keys, Key(c))
		}
	}
	return keys
}

// sequence returns the length of the escape sequence that text begins with
// (ECMA-48 section 5.4).
func sequence(text string) int {
	if len(text) < 2 || text[1] != '[' && text[1] != 'O' {
		return 1
	}
	for i := 2; i < len(text); i++ {
		if text[i] >= 0x40 && text[i] <= 0x7e {
			return i + 1
		}
		if !strings.ContainsRune("0123456789;?<=>", rune(text[i])) {
			return i
		}
	}
	return len(text)
}
