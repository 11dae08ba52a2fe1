package bundle

import "time"

// The directions.
const (
	down = iota
	up
	directions
)

var directionText = [directions]string{"down", "up"}

// pastSpan is how long moments are remembered: the longest time over which anything is
// averaged.
const pastSpan = 6 * time.Second

// breakSpan is for how long nothing may have waited while more is wanted all the same.
const breakSpan = time.Second

// A moment is what was measured at one look.
type moment struct {
	at, span time.Duration
	good     [directions]float64 // bytes per second, as programs get them
	waiting  [directions]bool    // more was to be had: bytes waited here for others
	links    map[string][directions]float64
	heard    map[string]float64 // segments per second
}

// notice remembers what was measured, if anything was.
func (m *Mind) notice(b *Bundle) {
	if b.Span <= 0 {
		return
	}
	now := moment{
		at: b.At, span: b.Span, good: [directions]float64{b.GoodputDown, b.GoodputUp},
		waiting: [directions]bool{b.Held >= waitingBytes, b.Backlog >= waitingBytes}, links: make(map[string][directions]float64, len(b.Links)),
		heard: make(map[string]float64, len(b.Links)),
	}
	for _, o := range b.Links {
		now.links[o.Link], now.heard[o.Link] = [directions]float64{o.Sub.Down, o.Sub.Up}, o.Sub.Heard
	}
	old := 0
	for old < len(m.past) && b.At-m.past[old].at > pastSpan {
		old++
	}
	m.past = append(m.past[old:], now)
	for d, waiting := range now.waiting {
		switch {
		case waiting && m.wanting[d] == 0:
			m.wanting[d], m.awaited[d] = now.at, now.at
		case waiting:
			m.awaited[d] = now.at
		case now.at-m.awaited[d] > breakSpan:
			m.wanting[d] = 0
		}
	}
}

// wantedFor returns for how long more has been wanted than came, short breaks aside.
func (m *Mind) wantedFor(now time.Duration, d int) time.Duration {
	if m.wanting[d] == 0 {
		return 0
	}
	return now - m.wanting[d]
}

// mean returns the mean of what f says of the moments in a span of the past, and for
// how much of it there are any.
func (m *Mind) mean(now, span time.Duration, f func(*moment) float64) (mean float64, known time.Duration) {
	var sum float64
	for i := len(m.past) - 1; i >= 0; i-- {
		p := &m.past[i]
		if now-p.at+p.span/2 > span && known > 0 {
			break
		}
		sum += f(p) * p.span.Seconds()
		known += p.span
	}
	if known == 0 {
		return 0, 0
	}
	return sum / known.Seconds(), known
}

// rate returns what went over links of late, in bytes per second.
func (m *Mind) rate(now, span time.Duration, d int, links ...string) float64 {
	mean, _ := m.mean(now, span, func(p *moment) (sum float64) {
		for _, l := range links {
			sum += p.links[l][d]
		}
		return sum
	})
	return mean
}

// good returns what programs got of late, in bytes per second.
func (m *Mind) good(now, span time.Duration, d int) float64 {
	mean, _ := m.mean(now, span, func(p *moment) float64 { return p.good[d] })
	return mean
}

// waited reports whether more was to be had in a direction all that time.
func (m *Mind) waited(now, span time.Duration, d int) bool {
	share, known := m.mean(now, span, func(p *moment) float64 {
		if p.waiting[d] {
			return 1
		}
		return 0
	})
	return known > 0 && share > 0.7
}

// earlier returns the mean of what f says of the seconds before the last one.
func (m *Mind) earlier(now time.Duration, f func(*moment) float64) float64 {
	var sum, known float64
	for i := range m.past {
		if p := &m.past[i]; now-p.at >= time.Second {
			sum, known = sum+f(p)*p.span.Seconds(), known+p.span.Seconds()
		}
	}
	return sum / max(known, 0.001)
}

// settled returns for how long there are measurements with the roles of now.
func (m *Mind) settled(now time.Duration) time.Duration {
	if len(m.past) == 0 {
		return 0
	}
	return now - max(m.changed, m.past[0].at-m.past[0].span)
}

// A peak is the most that was seen in the last minutes.
type peak struct {
	now, old float64
	since    time.Duration
}

// peakSpan is for how long it is remembered, and half of it at least: lines change.
const peakSpan = 10 * time.Minute

func (p *peak) see(v float64, at time.Duration) {
	if at-p.since >= peakSpan/2 {
		p.old, p.now, p.since = p.now, 0, at
	}
	p.now = max(p.now, v)
}

func (p *peak) max() float64 { return max(p.now, p.old) }
