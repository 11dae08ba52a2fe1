package screen

import "strings"

// historyKept is how many rates of a link are remembered: those of a minute, asked for
// once a second.
const historyKept = 60

// A history is a rate over the last minute.
type history struct {
	rates []float64 // the newest last
	count int       // of all that were ever added
}

func (h *history) add(rate float64) {
	h.rates = append(h.rates, rate)
	h.count++
	if n := len(h.rates) - historyKept; n > 0 {
		h.rates = append(h.rates[:0], h.rates[n:]...)
	}
}

func (h *history) most() (top float64) {
	for _, v := range h.rates {
		top = max(top, v)
	}
	return top
}

// bars sums the minute up in so many means, of as many seconds each; the newest, and
// the last of them, is of those that are there yet. A second stays in the same bar for
// as long as it is shown, so that the picture moves and does not tremble.
func (h *history) bars(width int) []float64 {
	each := max(1, (historyKept+width-1)/max(1, width))
	sums, counts := make([]float64, width), make([]int, width)
	newest := (h.count - 1) / each
	for i, v := range h.rates {
		age := newest - (h.count-len(h.rates)+i)/each
		if at := width - 1 - age; at >= 0 {
			sums[at] += v
			counts[at]++
		}
	}
	for i, n := range counts {
		sums[i] /= float64(max(1, n))
	}
	return sums
}

// spark draws the minute, against the most that any link carried. What is more than
// nothing is seen.
func (h *history) spark(width int, most float64) string {
	const bars = "▁▂▃▄▅▆▇█"
	levels := []rune(bars)
	var b strings.Builder
	for _, v := range h.bars(width) {
		if v <= 0 || most <= 0 {
			b.WriteByte(' ')
			continue
		}
		b.WriteRune(levels[min(len(levels)-1, int(v/most*float64(len(levels))))])
	}
	return b.String()
}
