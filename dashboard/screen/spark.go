package screen

import "strings"

// historyKept is how many rates of a link are remembered: those of a minute, asked for
// once a second.
const historyKept = 60

// A history is a rate over the last minute, the newest last.
type history []float64

func (h *history) add(rate float64) {
	*h = append(*h, rate)
	if n := len(*h) - historyKept; n > 0 {
		*h = append((*h)[:0], (*h)[n:]...)
	}
}

func (h history) most() (top float64) {
	for _, v := range h {
		top = max(top, v)
	}
	return top
}

// spark draws the newest rates that have room, against the most that any link
// carried. What is more than nothing is seen.
func (h history) spark(width int, most float64) string {
	const bars = "▁▂▃▄▅▆▇█"
	levels := []rune(bars)
	var b strings.Builder
	for i := range width {
		n := len(h) - width + i
		if n < 0 || h[n] <= 0 || most <= 0 {
			b.WriteByte(' ')
			continue
		}
		b.WriteRune(levels[min(len(levels)-1, int(h[n]/most*float64(len(levels))))])
	}
	return b.String()
}
